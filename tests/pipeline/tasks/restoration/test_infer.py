"""Tiles equal the whole picture, and eight ways are answered as one."""

from typing import Any

import pytest
import torch
from torch import Tensor

import models
from pipeline.base.errors import ZoetropeError
from pipeline.tasks.restoration.infer import eight_ways, tiled
from tests.models.small import small


@pytest.mark.parametrize(
    ("name", "scale"),
    [("edsr_baseline", 1), ("edsr_baseline", 2), ("edsr_baseline", 3), ("rdn", 2), ("srcnn", 2), ("vdsr", 3)],
)
@pytest.mark.parametrize("more", [0, 3])
def test_tiles_with_the_reach_as_margin_are_the_whole_picture(name: str, scale: int, more: int) -> None:
    torch.manual_seed(0)
    model: Any = models.build(name, 0, **{**small(name), "scale": scale}).eval()
    x = torch.rand(2, 3, 31, 50)
    with torch.no_grad():
        found = tiled(model, x, 2 * model.reach_px + 9 + 2 * more, model.reach_px + more)
        torch.testing.assert_close(found, model(x), rtol=1e-5, atol=1e-5)


def test_a_denoiser_with_norms_too() -> None:
    model: Any = models.build("dncnn", 0, **small("dncnn")).eval()
    x = torch.rand(1, 3, 20, 33)
    with torch.no_grad():
        torch.testing.assert_close(tiled(model, x, 12, model.reach_px), model(x), rtol=1e-5, atol=1e-5)


def test_a_tile_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ZoetropeError, match=r"evaluate.tile: a tile of 64 px keeps nothing beside .* 32 px"):
        tiled(lambda x: x, torch.rand(1, 3, 8, 8), 64, 32)


def test_eight_ways_of_what_has_no_direction_are_its_own_answer() -> None:
    x = torch.rand(1, 3, 6, 9)
    torch.testing.assert_close(eight_ways(lambda x: 2 * x, x), 2 * x)


def test_eight_ways_are_a_mean_over_all_directions() -> None:
    """A model that moves pictures to the right moves them in all eight ways, twice in each of four directions."""

    def moved(x: Tensor) -> Tensor:
        return x.roll(1, 3)

    x = torch.rand(1, 3, 6, 6)
    expected = sum((x.roll(by, axis) for axis in (2, 3) for by in (-1, 1)), torch.zeros_like(x)) / 4
    torch.testing.assert_close(eight_ways(moved, x), expected)
