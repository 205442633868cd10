"""DeepLab v3+: the published counts and costs, and in what both ports and both backbones differ."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import models
from models.complexity import complexity, count_parameters
from pipeline.training.lone import REFUSES
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import on_meta


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("deeplabv3plus_resnet101", {}, 59_344_309),
        ("deeplabv3plus_resnet101", {"variant": "kazuto"}, 59_344_309),
        ("deeplabv3plus_xception", {}, 54_705_317),
    ],
)
def test_parameters(name: str, options: dict[str, Any], parameters: int) -> None:
    """The names and shapes are in `weights/test_layouts.py`."""
    assert count_parameters(on_meta(name, 21, **options)) == parameters


def test_published_cost() -> None:
    """Caffe's ResNet strides sooner: two 1x1 convolutions see a quarter of the places that torchvision's see."""
    caffe, ours = (complexity("deeplabv3plus_resnet101", 21, variant=v).multiply_adds for v in ("kazuto", "yassouali"))
    assert caffe / 1e9 == pytest.approx(92.0, abs=0.05)
    assert ours - caffe == 256 * 128 * (129**2 - 65**2) + 512 * 256 * (65**2 - 33**2)


@pytest.mark.parametrize(
    ("options", "rates", "strided"),
    [
        ({}, [[1] * 3, [1] * 4, [1] * 6, [2] * 3], "conv2"),
        ({"output_stride": 8}, [[1] * 3, [1] * 4, [2] * 6, [4] * 3], "conv2"),
        ({"variant": "kazuto"}, [[1] * 3, [1] * 4, [1] * 6, [2, 4, 8]], "conv1"),
        ({"variant": "kazuto", "output_stride": 8}, [[1] * 3, [1] * 4, [2] * 6, [4, 8, 16]], "conv1"),
    ],
)
def test_dilations_and_strides(options: dict[str, Any], rates: list[list[int]], strided: str) -> None:
    model = on_meta("deeplabv3plus_resnet50", 21, **options)
    trunk: Any = model.get_submodule("backbone")
    assert [[block.conv2.dilation[0] for block in stage] for stage in trunk.stages] == rates
    assert getattr(trunk.layer2[0], strided).stride == (2, 2)
    assert trunk.maxpool.ceil_mode == (strided == "conv1")
    convs: Any = model.get_submodule("classifier.aspp.convs")
    scale = 1 if options.get("output_stride", 16) == 16 else 2
    assert [convs[i][0].dilation[0] // scale for i in (1, 2, 3)] == [6, 12, 18]


@pytest.mark.parametrize(("output_stride", "sides"), [(16, [24, 6]), (8, [24, 12])])
def test_maps_of_xception(output_stride: int, sides: list[int]) -> None:
    trunk: Any = on_meta("deeplabv3plus_xception", 2, width=8, output_stride=output_stride).get_submodule("backbone")
    maps = trunk.maps(torch.empty(2, 3, 96, 96, device="meta"))
    assert [tuple(y.shape) for y in maps] == [(2, channels, n, n) for channels, n in zip((16, 256), sides, strict=True)]
    rates = [
        trunk.block4.rep[1].conv1.dilation[0],
        trunk.block20.rep[1].conv1.dilation[0],
        trunk.conv5.conv1.dilation[0],
    ]
    assert rates == {16: [1, 1, 2], 8: [2, 2, 4]}[output_stride]


def test_xceptions_shortcut_sees_what_relu_left() -> None:
    trunk: Any = models.build("deeplabv3plus_xception", 2, width=8).get_submodule("backbone")
    block = trunk.block4.eval()
    x = torch.randn(1, 91, 5, 5, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    with torch.no_grad():
        torch.testing.assert_close(block(x) - block.rep(x.relu()), x.relu())
        assert torch.equal(block(x), block(x.relu()))
    assert torch.equal(x, before)


@pytest.mark.parametrize(("variant", "place"), [("yassouali", slice(3)), ("kazuto", slice(16, None))])
def test_where_the_early_map_goes(variant: str, place: slice) -> None:
    """Of 19 channels it has 3, reduced; the pyramid's 16 are in front of it or behind."""
    model: Any = models.build("deeplabv3plus_resnet50", 2, width=4, variant=variant).eval()
    seen: list[Any] = []
    model.classifier.reduce.register_forward_hook(lambda _, __, y: seen.append(y))
    model.classifier.fuse.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    with torch.no_grad():
        model(torch.randn(1, 3, 40, 33, generator=torch.Generator().manual_seed(0)))
    early, together = seen
    assert (early.shape[1], together.shape[1]) == (3, 19)
    assert torch.equal(together[:, place], early)


def test_dropouts() -> None:
    def rates(**options: Any) -> list[float]:
        modules = on_meta("deeplabv3plus_resnet50", 21, **options).modules()
        return [module.p for module in modules if isinstance(module, nn.Dropout)]

    assert rates() == [0.5, 0.1]
    assert rates(dropout=0.25) == [0.25, 0.05]
    assert rates(variant="kazuto") == [0.0, 0.0]


def test_several_sizes() -> None:
    torch.manual_seed(0)
    model: Any = models.build("deeplabv3plus_resnet50", 3, width=4, msc=True)
    x = torch.randn(2, 3, 40, 33)
    assert [tuple(one.shape) for one in model(x)] == [(2, 3, 40, 33)] * 4
    model.eval()
    with torch.no_grad():
        assert (model(x) >= model._logits(x)).all()


def test_one_sample_in_training_is_refused_as_a_plan_expects() -> None:
    model = on_meta("deeplabv3plus_resnet50", 2, width=4)
    with pytest.raises(ValueError, match=REFUSES):
        model.train()(torch.empty(1, 3, 64, 64, device="meta"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deeplabv3plus_resnet50", "deeplabv3plus_xception"])
def test_onnx(name: str, tmp_path: Path) -> None:
    assert_onnx_agrees(name, tmp_path)
