"""AlexNet, and FCN on the one of Caffe: published names, counts and costs, and scores that lie where they should."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import models
from models.complexity import complexity, count_parameters
from models.weights import load_weights
from models.weights.names import read_names
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import on_meta

# torchvision's: layers and shapes.
OFFICIAL = {
    "features.0": (64, 3, 11, 11),
    "features.3": (192, 64, 5, 5),
    "features.6": (384, 192, 3, 3),
    "features.8": (256, 384, 3, 3),
    "features.10": (256, 256, 3, 3),
    "classifier.1": (4096, 9216),
    "classifier.4": (4096, 4096),
    "classifier.6": (1000, 4096),
}


def test_names_and_shapes_are_torchvisions() -> None:
    model = on_meta("alexnet", 1000)
    assert count_parameters(model) == 61_100_840
    names = read_names(model.state_dict())
    assert names.family == "AlexNet"
    found = {names.common[name]: tuple(value.shape) for name, value in model.state_dict().items()}
    expected: dict[str, tuple[int, ...]] = {}
    for name, shape in OFFICIAL.items():
        name = name.replace("classifier.6", "head")
        expected |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    assert found == expected


def test_torchvisions_weights_load() -> None:
    own, other = (models.build("alexnet", classes, width=4) for classes in (5, 3))
    state = {name.replace("trunk.", "features."): value for name, value in own.state_dict().items()}
    report = load_weights(other, state)
    assert (len(report.loaded), report.missing, report.unexpected) == (14, (), ())
    assert report.replaced == ("classifier.6.weight", "classifier.6.bias")


def test_published_costs() -> None:
    assert complexity("alexnet", 1000).multiply_adds / 1e9 == pytest.approx(0.714, abs=5e-4)


def test_parameters_of_the_fcn() -> None:
    model = on_meta("fcn_alexnet", 21)
    assert count_parameters(model) == 58_704_590
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 56_954_261
    assert all(p.requires_grad for p in on_meta("fcn_alexnet", 21, learn_upsample=True).parameters())


def test_scores_come_out_where_they_belong() -> None:
    """A score that is the row of the middle of its place brings every pixel its own row back."""
    model: Any = models.build("fcn_alexnet", 1, width=4).eval()

    def scored(_: nn.Module, inputs: tuple[Tensor], __: Tensor) -> Tensor:
        row = torch.arange(inputs[0].shape[3]) * 32.0 + 13
        return row.expand(1, 1, *inputs[0].shape[2:])

    model.score["fc7"].register_forward_hook(scored)
    with torch.no_grad():
        found = model(torch.zeros(1, 3, 200, 200))[0, 0, 100]
    torch.testing.assert_close(found[32:-48], torch.arange(32.0, 152), rtol=0, atol=1e-3)


def test_the_middle_of_a_place_is_where_it_is_said_to_be() -> None:
    """The first place of fc6 sees 355 px, from 164 before the picture to 190 in it: its middle is pixel 13."""
    model: Any = on_meta("fcn_alexnet", 2, width=4)
    layers = [layer for layer in (*model.convs, model.classifier[0]) if isinstance(layer, nn.Conv2d | nn.MaxPool2d)]
    first, last, stride = 0, 0, 1
    for layer in layers:
        sides: tuple[Any, ...] = (layer.kernel_size, layer.stride, layer.padding)
        kernel, step, padding = (side if isinstance(side, int) else side[0] for side in sides)
        first, last = first - padding * stride, last + (kernel - 1 - padding) * stride
        stride *= step
    assert (first, last, stride) == (-164, 190, 32)


def test_the_fcn_takes_any_size() -> None:
    model = on_meta("fcn_alexnet", 2, width=4)
    for height, width in [(1, 1), *((n, 600 - n) for n in range(31, 97))]:
        assert model(torch.zeros(1, 3, height, width, device="meta")).shape == (1, 2, height, width)


@pytest.mark.parametrize("name", ["alexnet", "fcn_alexnet"])
def test_onnx(name: str, tmp_path: Path) -> None:
    assert_onnx_agrees(name, tmp_path)
