"""Prior boxes of SSD (Liu et al. 2016, "SSD: single shot multibox detector", section 2.2): what boxes are told from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Clip = Literal["sizes", "centres and sizes"]


@dataclass(frozen=True)
class Priors:
    """The priors of each map, by the place in the tuples; scales are shares of the picture's shorter side.

    scales: one more than there are maps. A place of map k has squares of scales[k] and of the geometric mean of that
        and the next, and for each ratio a box of the area of the former that is `ratio` as wide as high, and its
        transpose
    ratios: of each map, as in (2, 3)
    steps: px from place to place; None is the picture's side over the map's
    clip: whether sizes above the picture's are cut off (torchvision), or those and centres beyond it (ssd.pytorch)
    """

    scales: tuple[float, ...]
    ratios: tuple[tuple[float, ...], ...]
    steps: tuple[int | None, ...]
    clip: Clip = "centres and sizes"

    @property
    def counts(self) -> list[int]:
        """Return how many boxes a place of each map has."""
        return [2 + 2 * len(ratios) for ratios in self.ratios]

    def shapes(self, k: int) -> list[tuple[float, float]]:
        """Return widths and heights of the boxes of map k, in their order."""
        scale, next_one = self.scales[k : k + 2]
        sides = [(scale, scale), ((scale * next_one) ** 0.5,) * 2]
        for ratio in self.ratios[k]:
            wide, narrow = scale * ratio**0.5, scale / ratio**0.5
            sides += [(wide, narrow), (narrow, wide)]
        return sides

    def boxes(
        self, maps: Sequence[tuple[int, int]], size: tuple[int, int], device: torch.device | None = None
    ) -> Tensor:
        """Make the priors of a picture of `size` (H, W) px: centred float [P, 4] in px, map by map, place by place.

        maps: (height, width) of each map, in places; rows of a map come one after another, and the boxes of a place.
        """
        return torch.cat([self._of_map(k, places, size, device) for k, places in enumerate(maps)])

    def _of_map(self, k: int, places: tuple[int, int], size: tuple[int, int], device: torch.device | None) -> Tensor:
        step, shapes = self.steps[k], torch.tensor(self.shapes(k), device=device) * min(size)
        axes = []
        for count, side, shape in zip(places, size, shapes.T.flip(0), strict=True):
            centre = (torch.arange(count, device=device) + 0.5) * (step or side / count)
            axes.append((centre.clamp(max=side) if self.clip == "centres and sizes" else centre, shape.clamp(max=side)))
        (y, height), (x, width) = axes
        every = torch.broadcast_tensors(x[None, :, None], y[:, None, None], width, height)
        return torch.stack(every, -1).flatten(0, 2)
