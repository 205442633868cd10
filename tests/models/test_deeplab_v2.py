"""DeepLab v1 and v2: the published counts, places that lie where they should, sums and largest logits."""

from pathlib import Path
from typing import Any

import pytest
import torch

import models
from models.complexity import complexity, count_parameters
from models.deeplab_v2 import SummedASPP
from models.multi_scale import multi_scale
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import on_meta


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("deeplabv1_vgg16", {}, 20_505_429),
        ("deeplabv1_vgg16", {"field": "4x4"}, 65_140_565),
        ("deeplabv1_vgg16", {"field": "7x7"}, 134_346_581),
        # Five branches, and 5 * 128 channels more before the last layer.
        ("deeplabv1_vgg16", {"branches": True}, 20_505_429 + 1_192_576 + 640 * 21),
        ("deeplabv1_resnet101", {}, 42_543_189),
        ("deeplabv2_resnet101", {}, 44_048_532),
    ],
)
def test_parameters(name: str, options: dict[str, Any], parameters: int) -> None:
    """The names and shapes of those on ResNet are in `weights/test_layouts.py`."""
    assert count_parameters(on_meta(name, 21, **options)) == parameters


@pytest.mark.parametrize(("msc", "giga"), [(False, 188.9), (True, 344.9)])
def test_published_cost(msc: bool, giga: float) -> None:
    assert complexity("deeplabv2_resnet101", 21, msc=msc).multiply_adds / 1e9 == pytest.approx(giga, abs=0.1)


@pytest.mark.parametrize("field", ["large", "4x4", "7x7"])
def test_a_place_of_v1_lies_on_every_eighth_pixel(field: str) -> None:
    model = on_meta("deeplabv1_vgg16", 2, width=4, field=field, branches=True).eval()
    sizes = []
    for layer in ("fc6", "fc8", *(f"branches.{i}" for i in range(5))):
        hook: Any = lambda _, __, y: sizes.append(tuple(y.shape[2:]))  # noqa: E731
        model.get_submodule(layer).register_forward_hook(hook)
    assert model(torch.empty(1, 3, 321, 97, device="meta")).shape == (1, 2, 321, 97)
    assert set(sizes) == {(41, 13)}
    for side in (1, 8, 16, 30, 320):  # where the branches' maps are brought to the same size
        assert model(torch.empty(1, 3, side, 64, device="meta")).shape == (1, 2, side, 64)


@pytest.mark.parametrize(("field", "offsets"), [("large", [-12, 0, 12]), ("7x7", list(range(-12, 13, 4)))])
def test_what_a_place_of_fc6_sees(field: str, offsets: list[int]) -> None:
    model: Any = models.build("deeplabv1_vgg16", 2, width=4, field=field)
    x = torch.randn(1, 32, 41, 41, requires_grad=True)
    gradient = torch.autograd.grad(model.fc6(x)[0, :, 20, 20].abs().sum(), x)[0]
    rows = gradient.abs().sum((0, 1, 3)).nonzero()[:, 0]
    assert (rows - 20).tolist() == offsets


def test_caffes_bottlenecks_stride_first() -> None:
    trunk: Any = on_meta("deeplabv2_resnet101", 21).get_submodule("backbone")
    assert (trunk.layer2[0].conv1.stride, trunk.layer2[0].conv2.stride) == ((2, 2), (1, 1))
    assert [{block.conv2.dilation[0] for block in stage} for stage in trunk.stages] == [{1}, {1}, {2}, {4}]
    # The pool rounds up: 35 places of 70 px become 18, those of 66 px 17.
    assert trunk.stem(torch.empty(1, 3, 70, 66, device="meta")).shape == (1, 64, 18, 17)
    assert trunk.stem(torch.empty(1, 3, 71, 68, device="meta")).shape == (1, 64, 19, 18)


def test_rates_are_added_up() -> None:
    torch.manual_seed(0)
    pyramid: Any = SummedASPP(3, 2, (1, 2))
    x = torch.randn(1, 3, 7, 7)
    torch.testing.assert_close(pyramid(x), pyramid.c0(x) + pyramid.c1(x))
    assert pyramid.c1.weight.std().item() == pytest.approx(0.01, rel=0.3)
    convs: Any = on_meta("deeplabv2_resnet101", 21).get_submodule("classifier")
    assert [conv.dilation[0] for conv in convs.children()] == [6, 12, 18, 24]
    assert len(list(on_meta("deeplabv2_resnet101", 21, rates=[2, 4]).get_submodule("classifier").children())) == 2


def test_the_largest_logit_of_several_sizes() -> None:
    """A network that says how large its picture is, half of it where that is left out, knows what to expect."""
    x = torch.zeros(1, 1, 8, 12)

    def run(picture: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.full(picture.shape[2:], float(sign * picture.shape[3])) for sign in (1, -1)])[None]

    largest, *every = multi_scale(run, x, training=True)
    assert largest[0, :, 0, 0].tolist() == [12.0, -6.0]
    assert [one[0, 0, 0, 0].item() for one in every] == [12.0, 6.0, 9.0]
    assert {tuple(one.shape) for one in (largest, *every)} == {(1, 2, 8, 12)}
    alone = multi_scale(run, x, training=False)
    assert isinstance(alone, torch.Tensor)
    assert torch.equal(alone, largest)


def test_v2_gives_four_answers_in_training() -> None:
    torch.manual_seed(0)
    model = models.build("deeplabv2_resnet101", 3, width=4)
    assert [tuple(one.shape) for one in model(torch.randn(1, 3, 40, 33))] == [(1, 3, 40, 33)] * 4
    plain = models.build("deeplabv2_resnet101", 3, width=4, msc=False)
    assert plain(torch.randn(1, 3, 40, 33)).shape == (1, 3, 40, 33)


@pytest.mark.parametrize("name", ["deeplabv1_vgg16", pytest.param("deeplabv2_resnet101", marks=pytest.mark.slow)])
def test_onnx(name: str, tmp_path: Path) -> None:
    assert_onnx_agrees(name, tmp_path)
