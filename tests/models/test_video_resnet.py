"""R3D, MC3 and R(2+1)D: torchvision's names, counts and strides."""

from typing import Any

import pytest
import torch

import models
from models.complexity import complexity, count_parameters
from tests.models.test_resnet import digest, on_meta


@pytest.mark.parametrize(
    ("name", "parameters", "entries", "giga"),
    [
        ("r3d_18", 33_371_472, (122, "6fd88b43e8edff35"), 40.697),
        ("mc3_18", 11_695_440, (122, "30a2704819073efe"), 43.343),
        ("r2plus1d_18", 31_505_325, (224, "e0958f8347e55c12"), 40.519),
    ],
)
def test_they_are_torchvisions(name: str, parameters: int, entries: tuple[int, str], giga: float) -> None:
    model = on_meta(name, 400)
    assert count_parameters(model) == parameters
    assert digest(model) == entries
    assert complexity(name, 400).multiply_adds / 1e9 == pytest.approx(giga, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "times"), [("r3d_18", [8, 4, 2, 1]), ("mc3_18", [8, 8, 8, 8]), ("r2plus1d_18", [8, 4, 2, 1])]
)
def test_where_time_shrinks(name: str, times: list[int]) -> None:
    model: Any = models.build(name, 4, width=8).eval()
    x, seen = model.stem(torch.zeros(1, 3, 8, 32, 32)), []
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = stage(x)
        seen.append(tuple(x.shape[2:]))
    assert seen == [(t, side, side) for t, side in zip(times, (16, 8, 4, 2), strict=True)]


def test_two_convolutions_have_the_parameters_of_one() -> None:
    """Of space and of time, as many channels between them as that takes (section 3.5)."""
    block: Any = on_meta("r2plus1d_18", 4).get_submodule("layer1.0")
    both = sum(block.conv1[0][i].weight.numel() for i in (0, 3))
    assert both == 64 * 64 * 27


def test_order_of_frames_matters() -> None:
    torch.manual_seed(0)
    clips = torch.randn(1, 3, 6, 32, 32)
    for name in ("r3d_18", "mc3_18", "r2plus1d_18"):
        model = models.build(name, 4, width=8).eval()
        with torch.no_grad():
            assert (model(clips) - model(clips.flip(2))).abs().max() > 1e-4
