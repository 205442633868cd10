"""DenseNet against torchvision's names, shapes, counts and costs, and its blocks by hand."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import models
from models.complexity import complexity, count_parameters
from models.densenet import DenseBlock
from models.weights import load_weights
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import on_meta
from tests.models.weights.test_layouts import digest, renamed


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("densenet121", 7_978_856),
        ("densenet161", 28_681_000),
        ("densenet169", 14_149_480),
        ("densenet201", 20_013_928),
    ],
)
def test_parameters(name: str, parameters: int) -> None:
    assert count_parameters(on_meta(name, 1000)) == parameters


def test_published_cost() -> None:
    assert complexity("densenet121", 1000).multiply_adds / 1e9 == pytest.approx(2.834, abs=5e-4)


def test_names_and_shapes_are_torchvisions() -> None:
    state = renamed(on_meta("densenet121", 1000).state_dict(), [(r"^trunk\.", "features.")])
    assert digest(state) == (727, "9c659ec278435e95")


@pytest.mark.parametrize("dotted", [False, True])
def test_torchvisions_weights_load(dotted: bool) -> None:
    """Its files have `norm.1`, and no counters, where its models have `norm1`."""
    own, other = (models.build("densenet121", 5, width=4).eval() for _ in range(2))
    state = renamed(own.state_dict(), [(r"^trunk\.", "features.")])
    if dotted:
        state = renamed(state, [(r"(denselayer\d+\.[a-z]+)([12])\.", r"\1.\2.")])
        state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    report = load_weights(other, state)
    assert (report.family, len(report.loaded), report.unexpected) == ("DenseNet", len(state), ())
    assert all(re.search(r"num_batches_tracked$", name) for name in report.missing)
    x = torch.randn(1, 3, 47, 33)
    with torch.no_grad():
        assert torch.equal(own(x), other(x))


def test_weights_of_rgb_and_of_other_classes_start_one_of_ten_channels() -> None:
    own, other = models.build("densenet121", 5, width=4), models.build("densenet121", 3, width=4, in_channels=10)
    report = load_weights(other, own.state_dict())
    assert report.resized == {"trunk.conv0.weight": ((4, 3, 7, 7), (4, 10, 7, 7))}
    assert report.replaced == ("classifier.weight", "classifier.bias")


def test_a_layer_sees_all_before_it_in_order() -> None:
    """Layers that give the sum of what they see: 1 and 2, then 3, then 6, then 12."""
    block: Any = DenseBlock(2, 3, 1, False)
    for layer in block.children():
        layer.forward = lambda x: x.sum(1, keepdim=True)
    x = torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1)
    assert block(x).flatten().tolist() == [1, 2, 3, 6, 12]


def test_the_last_norm_is_rectified_and_the_least_side_is_29_px() -> None:
    torch.manual_seed(0)
    model: Any = models.build("densenet121", 5, width=4).eval()
    features = model.features(torch.randn(1, 3, 29, 29))
    assert features.shape == (1, model.num_features) == (1, 64)
    assert features.min() >= 0


@pytest.mark.slow
def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees("densenet121", tmp_path)
