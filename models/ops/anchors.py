"""Anchors of a region proposal network (Ren et al. 2015, "Faster R-CNN", section 3.1.1), a size for each level."""

from collections.abc import Sequence

import torch
from torch import Tensor

RATIOS = (0.5, 1.0, 2.0)
"""Height over width."""


def shapes(side_px: float, ratios: Sequence[float] = RATIOS) -> Tensor:
    """Return the anchors of a place, of one area: corners [len(ratios), 4] around it, in whole px as torchvision's.

    >>> shapes(32).tolist()
    [[-23.0, -11.0, 23.0, 11.0], [-16.0, -16.0, 16.0, 16.0], [-11.0, -23.0, 11.0, 23.0]]
    """
    height = side_px * torch.tensor(ratios).sqrt()
    width = side_px / torch.tensor(ratios).sqrt()
    return (torch.stack([-width, -height, width, height], -1) / 2).round()


def anchors(
    maps: Sequence[tuple[int, int]],
    size: tuple[int, int],
    sides_px: Sequence[float],
    device: torch.device | None = None,
    ratios: Sequence[float] = RATIOS,
) -> Tensor:
    """Make the anchors of a picture of `size` (H, W) px: corners float [P, 4], map by map, place by place.

    maps: (height, width) of each map, in places, whose anchors have the side of the same number in `sides_px`

    Places begin at px 0 and are as many whole px apart as the picture's side holds: torchvision's, where the map of a
    max pool of stride 2 over an odd number of places is not twice as coarse.
    """
    found = []
    for (height, width), side_px in zip(maps, sides_px, strict=True):
        y = torch.arange(height, device=device) * (size[0] // height)
        x = torch.arange(width, device=device) * (size[1] // width)
        moved = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]) * 2, -1)
        found.append((moved[:, :, None] + shapes(side_px, ratios).to(moved.device)).flatten(0, 2))
    return torch.cat(found)
