"""VGG-16's trunk and VGG against torchvision's names, shapes, counts and costs."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

import models
from models.complexity import complexity, count_parameters
from models.vgg import VGG16Trunk
from tests.models.exported import assert_onnx_agrees
from tests.models.test_resnet import on_meta

# torchvision's: the number of each convolution in `features`, and its channels.
CONVOLUTIONS = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256} | dict.fromkeys((17, 19, 21, 24, 26, 28), 512)


def test_names_and_shapes_are_torchvisions() -> None:
    with torch.device("meta"):
        trunk = VGG16Trunk(in_channels=3, width=64)
    expected: dict[str, tuple[int, ...]] = {}
    before = 3
    for number, channels in CONVOLUTIONS.items():
        expected |= {f"{number}.weight": (channels, before, 3, 3), f"{number}.bias": (channels,)}
        before = channels
    assert {name: tuple(value.shape) for name, value in trunk.state_dict().items()} == expected
    assert sum(p.numel() for p in trunk.parameters()) == 14_714_688


@pytest.mark.parametrize(
    ("padding", "size_px", "sides"),
    [(1, 64, [32, 16, 8, 4, 2]), (1, 33, [17, 9, 5, 3, 2]), (100, 10, [104, 52, 26, 13, 7])],
)
def test_pools_round_up(padding: int, size_px: int, sides: list[int]) -> None:
    trunk = VGG16Trunk(in_channels=3, width=4, padding=padding)
    maps = trunk.maps(torch.zeros(1, 3, size_px, size_px))
    assert [tuple(y.shape) for y in maps] == [(1, c, n, n) for c, n in zip(trunk.channels, sides, strict=True)]
    assert trunk.channels == [4, 8, 16, 32, 32]


def test_maps_are_behind_pools() -> None:
    torch.manual_seed(0)
    trunk, x = VGG16Trunk(in_channels=3, width=4), torch.randn(1, 3, 32, 48)
    maps = trunk.maps(x.clone())
    assert torch.equal(maps[-1], trunk(x.clone()))
    for layer in list(trunk)[:17]:
        x = layer(x)
    assert torch.equal(maps[2], x)


def test_initialisation_follows_fan_out() -> None:
    torch.manual_seed(0)
    conv: Any = VGG16Trunk(in_channels=3, width=32)[21]
    assert conv.weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)
    assert not conv.bias.any()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("vgg11", 132_863_336),
        ("vgg13", 133_047_848),
        ("vgg16", 138_357_544),
        ("vgg19", 143_667_240),
        ("vgg11_bn", 132_868_840),
        ("vgg13_bn", 133_053_736),
        ("vgg16_bn", 138_365_992),
        ("vgg19_bn", 143_678_248),
    ],
)
def test_parameters_of_classifiers(name: str, parameters: int) -> None:
    assert count_parameters(on_meta(name, 1000)) == parameters


@pytest.mark.parametrize("name", models.check_options("vgg11").names())
def test_torchvisions_weights_load(name: str) -> None:
    own: Any = models.build(name, 5, width=4).eval()
    other: Any = models.build(name, 3, width=4).eval()
    state = {key.replace("trunk.", "features."): value for key, value in own.state_dict().items()}
    report = models.load_weights(other, state)
    assert report.family == ("VGG with batch norms" if name.endswith("_bn") else "VGG")
    assert (report.missing, report.unexpected) == ((), ())
    assert report.replaced == ("classifier.6.weight", "classifier.6.bias")
    x = torch.randn(2, 3, 47, 33)
    with torch.no_grad():
        assert torch.equal(own.features(x), other.features(x))


@pytest.mark.parametrize(("name", "known"), [("vgg16", "35c4623e0cd4a39d"), ("vgg16_bn", "347371586a8ea365")])
def test_names_and_shapes_of_classifiers_are_torchvisions(name: str, known: str) -> None:
    state = {key.replace("trunk.", "features."): value for key, value in on_meta(name, 1000).state_dict().items()}
    lines = [f"{key} {tuple(value.shape)}" for key, value in state.items()]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == known


def test_published_cost() -> None:
    assert complexity("vgg16_bn", 1000).multiply_adds / 1e9 == pytest.approx(15.470, abs=5e-4)


def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees("vgg11_bn", tmp_path)
