"""The cells of YOLO's maps, from which boxes are told: places of a level, each once for each of its anchors.

They come level by level, the finest first, in a level anchor by anchor, then row by row. A cell is float [5] in px: the
x and y of its centre, its side, which is the level's stride, and the width and height of its anchor.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

STRIDES = (8, 16, 32)
Maps = Sequence[tuple[int, int]]
"""Rows and columns of each level."""


def maps_of(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Count the rows and columns of each level for a picture of `size` (H, W) px, filled up to whole cells."""
    height, width = (-(-px // STRIDES[-1]) * STRIDES[-1] for px in size)
    return [(height // stride, width // stride) for stride in STRIDES]


def cells(maps: Maps, anchors: Tensor) -> Tensor:
    """Make the cells of maps whose anchors are float [L, A, 2] px, widths and heights -> [P, 5]."""
    found = []
    for (rows, columns), stride, shapes in zip(maps, STRIDES, anchors, strict=True):
        y = (torch.arange(rows, device=anchors.device) + 0.5) * stride
        x = (torch.arange(columns, device=anchors.device) + 0.5) * stride
        side = torch.full_like(x, stride)
        width, height = shapes[:, :, None, None].unbind(1)
        every = torch.broadcast_tensors(x[None, None, :], y[None, :, None], side[None, None, :], width, height)
        found.append(torch.stack(every, -1).flatten(0, 2))
    return torch.cat(found)


def size_of(cells: Tensor) -> tuple[int, int]:
    """Return (H, W) in px that cells [P, 5] cover: the last one lies in the last corner of the coarsest level."""
    x, y, side = cells[-1, :3].tolist()
    return round(y + side / 2), round(x + side / 2)


def boxes(codes: Tensor, cells: Tensor) -> Tensor:
    """Tell boxes from their cells: codes [..., 4] and cells [..., 5] -> centred [..., 4] in px.

    A centre is at most one and a half cells from its cell's, a side at most four times the anchor's: YOLOv5 v6, whose
    sides are (2 sigmoid)^2 times the anchor, where Redmon & Farhadi 2018, "YOLOv3", section 2.1, have an exponential.
    """
    said = 2 * codes.sigmoid()
    centre = cells[..., :2] + (said[..., :2] - 1) * cells[..., 2:3]
    return torch.cat([centre, said[..., 2:].square() * cells[..., 3:]], -1)
