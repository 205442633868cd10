"""SegNet: the published counts, values that go back where they were found, odd sizes."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

import models
from models.complexity import complexity, count_parameters
from models.segnet import unpooled
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import on_meta


def test_parameters() -> None:
    """The port has a convolution and a batch norm of 64 channels more; its names are in `weights/test_layouts.py`."""
    port = count_parameters(on_meta("segnet", 21, variant="yassouali"))
    assert port == 29_492_181
    assert port - count_parameters(on_meta("segnet", 21)) == 64 * 64 * 9 + 3 * 64


def test_published_cost() -> None:
    """Counted of the port, which has one convolution more."""
    assert complexity("segnet", 21, variant="yassouali").multiply_adds / 1e9 == pytest.approx(113.7, abs=0.05)


def test_values_go_back_to_their_places() -> None:
    x = torch.tensor([[[[1.0, 2, 3], [5, 4, 9], [7, 8, 6]]]])
    pooled, indices = functional.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
    assert pooled[0, 0].tolist() == [[5, 9], [8, 6]]
    assert unpooled(pooled, indices, x.shape[2:])[0, 0].tolist() == [[0, 0, 0], [5, 0, 9], [0, 8, 6]]


@pytest.mark.parametrize("size_px", [(6, 8), (7, 9)])
def test_it_unpools_as_torch_does(size_px: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size_px, generator=torch.Generator().manual_seed(0))
    pooled, indices = functional.max_pool2d(x, 2, return_indices=True)
    expected = torch.nn.MaxUnpool2d(2)(pooled, indices, output_size=size_px)
    assert torch.equal(unpooled(pooled, indices, x.shape[2:]), expected)


def test_pools_round_up_as_caffes() -> None:
    """The authors' prototxt has 45 x 60, 23 x 30 and 12 x 15 places for a picture of 360 x 480 px."""
    model = on_meta("segnet", 2, width=4).eval()
    sizes = []
    for stage in model.get_submodule("decoder").children():
        stage.register_forward_hook(lambda _, inputs, __: sizes.append(tuple(inputs[0].shape[2:])))
    model(torch.empty(1, 3, 360, 480, device="meta"))
    assert sizes == [(23, 30), (45, 60), (90, 120), (180, 240), (360, 480)]


def test_sizes() -> None:
    for size_px in ((1, 1), (31, 33), (100, 47)):
        assert on_meta("segnet", 2, width=4).eval()(torch.empty(1, 3, *size_px, device="meta")).shape[2:] == size_px
    port = on_meta("segnet", 2, width=4, variant="yassouali").eval()
    assert port(torch.empty(1, 3, 33, 47, device="meta")).shape == (1, 2, 33, 47)
    valid = models.check_options("segnet", variant="yassouali").valid_side
    assert (valid(16), valid(47), models.check_options("segnet").valid_side(16)) == (32, 47, 16)


def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees("segnet", tmp_path)
