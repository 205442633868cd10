"""Ways to cut a clip's grid of patches into groups, inside which attention is dense.

A grid is [B, H, W, T, D]: rows, columns and frames of patches. Time stands last because TimeSformer orders its tokens
so, and attention over time then needs no copy.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal

from torch import Tensor

Piece = tuple[slice, slice, slice]
Size = tuple[int, int, int]
AXES = {"h": 1, "w": 2, "t": 3}


def whole(size: Size) -> list[Piece]:
    """Return the grid in one piece."""
    return [(slice(None), slice(None), slice(None))]


def quarters(size: Size) -> list[Piece]:
    """Cut four windows of about H/2 x W/2 patches in all frames; an odd row or column goes to the later window."""
    rows, columns = (_halves(length) for length in size[:2])
    return [(h, w, slice(None)) for h, w in product(rows, columns)]


def lattices(size: Size) -> list[Piece]:
    """Cut eight lattices of every second row, column and frame; fewer where an axis has only one place."""
    starts = [range(min(2, length)) for length in size]
    return [(slice(h, None, 2), slice(w, None, 2), slice(t, None, 2)) for h, w, t in product(*starts)]


@dataclass(frozen=True)
class Grouping:
    """Sequences run along `axes` within each of the `pieces`; places that differ in another axis do not meet."""

    axes: Literal["t", "h", "w", "hw", "hwt"]
    pieces: Callable[[Size], list[Piece]] = whole

    def split(self, grid: Tensor) -> list[Tensor]:
        """Map [B, H, W, T, D] -> for each piece [B, G, L, D], G sequences of L places; views where strides allow."""
        groups = []
        for piece in self.pieces(_size(grid)):
            part = grid[:, *piece]
            length = math.prod([part.shape[AXES[axis]] for axis in self.axes])
            groups.append(part.permute(self._order).reshape(len(part), -1, length, part.shape[-1]))
        return groups

    def merge(self, groups: list[Tensor], size: Size) -> Tensor:
        """Merge what `split` made of a grid of `size` = (H, W, T), back to [B, H, W, T, D]."""
        order = self._order
        back = [order.index(axis) for axis in range(5)]
        shape = (len(groups[0]), *size, groups[0].shape[-1])
        if len(groups) == 1:
            return groups[0].reshape([shape[axis] for axis in order]).permute(back)
        grid = groups[0].new_empty(shape)
        for group, piece in zip(groups, self.pieces(size), strict=True):
            place = grid[:, *piece]
            place.copy_(group.reshape([place.shape[axis] for axis in order]).permute(back))
        return grid

    @property
    def _order(self) -> list[int]:
        """The axes of a grid, those that tell sequences apart before those along which they run."""
        apart = [axis for name, axis in AXES.items() if name not in self.axes]
        return [0, *apart, *(AXES[name] for name in self.axes), 4]


def _halves(length: int) -> list[slice]:
    return [slice(0, length // 2), slice(length // 2, None)] if length > 1 else [slice(None)]


def _size(grid: Tensor) -> Size:
    height, width, frames = grid.shape[1:4]
    return height, width, frames
