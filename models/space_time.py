"""Ways to cut a clip's grid of patches into groups, inside which attention is dense.

A grid is [B, H, W, T, D]: rows, columns and frames of patches. Time stands last because TimeSformer orders its tokens
so, and attention over time then needs no copy.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
from torch import Tensor

from models.traced import is_traced

Size = tuple[int, int, int]
Slices = tuple[list[slice], list[slice], list[slice]]
"""Of the three axes: a piece is one of each, those of the last axis following each other soonest."""
AXES = {"h": 1, "w": 2, "t": 3}


def whole(size: Size) -> Slices:
    """Return the grid in one piece."""
    return [slice(None)], [slice(None)], [slice(None)]


def quarters(size: Size) -> Slices:
    """Cut four windows of about H/2 x W/2 patches in all frames; an odd row or column goes to the later window."""
    return _halves(size[0]), _halves(size[1]), [slice(None)]


def lattices(size: Size) -> Slices:
    """Cut eight lattices of every second row, column and frame; fewer where an axis has only one place."""
    rows, columns, frames = ([slice(start, None, 2) for start in range(min(2, length))] for length in size)
    return rows, columns, frames


@dataclass(frozen=True)
class Grouping:
    """Sequences run along `axes` within each of the `pieces`; places that differ in another axis do not meet."""

    axes: Literal["t", "h", "w", "hw", "hwt"]
    pieces: Callable[[Size], Slices] = whole

    def split(self, grid: Tensor) -> list[Tensor]:
        """Map [B, H, W, T, D] -> for each piece [B, G, L, D], G sequences of L places; views where strides allow.

        A graph that is exported has pieces of one size as one [B, pieces * G, L, D]: an eighth of the nodes.
        """
        slices = self.pieces(_size(grid))
        if is_traced() and (cut := self._cut_evenly(slices, _size(grid))):
            shape, places, length = cut
            parts = grid.reshape(grid.shape[0], *shape, grid.shape[-1]).permute(places)
            return [parts.reshape(grid.shape[0], -1, length, grid.shape[-1])]
        groups = []
        for piece in product(*slices):
            part = grid[:, *piece]
            length = math.prod([part.shape[AXES[axis]] for axis in self.axes])
            groups.append(part.permute(self._order).reshape(part.shape[0], -1, length, part.shape[-1]))
        return groups

    def merge(self, groups: list[Tensor], size: Size) -> Tensor:
        """Merge what `split` made of a grid of `size` = (H, W, T), back to [B, H, W, T, D]."""
        order = self._order
        back = [order.index(axis) for axis in range(5)]
        shape = (groups[0].shape[0], *size, groups[0].shape[-1])
        slices = self.pieces(size)
        if is_traced() and (cut := self._cut_evenly(slices, size)):
            parts, places, _ = cut
            cut_shape = (shape[0], *parts, shape[-1])
            grid = groups[0].reshape([cut_shape[axis] for axis in places])
            return grid.permute([places.index(axis) for axis in range(8)]).reshape(shape)
        if len(groups) == 1:
            return groups[0].reshape([shape[axis] for axis in order]).permute(back)
        pieces = []
        for group, piece in zip(groups, product(*slices), strict=True):
            lengths = [len(range(length)[cut]) for length, cut in zip(size, piece, strict=True)]
            part_shape = (shape[0], *lengths, shape[-1])
            pieces.append(group.reshape([part_shape[axis] for axis in order]).permute(back))
        if is_traced():
            return _joined(pieces, slices)
        grid = groups[0].new_empty(shape)
        for part, piece in zip(pieces, product(*slices), strict=True):
            grid[:, *piece].copy_(part)
        return grid

    def _cut_evenly(self, slices: Slices, size: Size) -> tuple[list[int], list[int], int] | None:
        """Return how a grid is cut where its pieces are several and of one size; None where they are not.

        That is each axis as two, (number of pieces, places) or the other way round; the order of these six, and of the
        first and last axis, in which pieces come first and the places of a sequence last; and how many these are.
        """
        counts = [len(cuts) for cuts in slices]
        if max(counts) == 1 or any(length % count for length, count in zip(size, counts, strict=True)):
            return None
        shape, numbers, places = [], [], {}
        for axis, (length, cuts) in enumerate(zip(size, slices, strict=True)):
            takes_turns = cuts[0].step is not None
            pair = [len(cuts), length // len(cuts)]
            shape += pair[::-1] if takes_turns else pair
            numbers.append(1 + 2 * axis + takes_turns)
            places["hwt"[axis]] = 2 + 2 * axis - takes_turns
        apart = [place for name, place in places.items() if name not in self.axes]
        along = [places[name] for name in self.axes]
        return shape, [0, *numbers, *apart, *along, 7], math.prod(shape[place - 1] for place in along)

    @property
    def _order(self) -> list[int]:
        """The axes of a grid, those that tell sequences apart before those along which they run."""
        apart = [axis for name, axis in AXES.items() if name not in self.axes]
        return [0, *apart, *(AXES[name] for name in self.axes), 4]


def _halves(length: int) -> list[slice]:
    return [slice(0, length // 2), slice(length // 2, None)] if length > 1 else [slice(None)]


def _joined(pieces: list[Tensor], slices: Slices) -> Tensor:
    """Put pieces together to the grid without writing into it, one axis after the other."""
    for axis, cuts in reversed(list(enumerate(slices, start=1))):
        if len(cuts) == 1:
            continue
        join: Callable[[list[Tensor], int], Tensor] = torch.cat if cuts[0].step is None else _interleaved
        pieces = [join(pieces[i : i + len(cuts)], axis) for i in range(0, len(pieces), len(cuts))]
    return pieces[0]


def _interleaved(pair: list[Tensor], axis: int) -> Tensor:
    """Take places of two tensors in turn along an axis; the first has as many as the second, or one more."""
    first, second = pair
    length = first.shape[axis] + second.shape[axis]
    if first.shape[axis] > second.shape[axis]:
        second = torch.cat([second, first.narrow(axis, 0, 1)], axis)
    return torch.stack([first, second], axis + 1).flatten(axis, axis + 1).narrow(axis, 0, length)


def _size(grid: Tensor) -> Size:
    height, width, frames = grid.shape[1:4]
    return height, width, frames
