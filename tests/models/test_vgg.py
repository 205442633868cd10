"""VGG-16's trunk against torchvision's names and shapes."""

from typing import Any

import pytest
import torch

from models.vgg import VGG16Trunk

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
