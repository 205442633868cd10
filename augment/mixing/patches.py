"""Patches of samples in place of each other: what CutMix and RICAP do to pixels, and a task to its own maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Patch:
    """`rows` and `columns` of a mixed picture, which are cut out of another one at (top, left); in px."""

    rows: slice
    columns: slice
    top: int
    left: int


def partners(x: Tensor, shift: int) -> Tensor:
    """Return x in another order: row i is x[(i + shift) % n]. `torch.roll` would lose the channels-last layout."""
    shift %= len(x)
    return torch.cat([x[shift:], x[:shift]]) if shift else x


def paste(
    x: Tensor, shifts: Sequence[int], patches: Sequence[Patch], scale: int = 1, onto: Tensor | None = None
) -> Tensor:
    """Patch m of picture i comes from x[(i + shifts[m]) % n], over what earlier patches put there; any [n, ..., H, W].

    The patches cover the whole picture; without any, x is as it was. `scale`: of a target, such as a mask or an image
    to restore, H and W are so many times those that the patches were drawn for. `onto`: what they are put on, and
    into, where they do not cover everything or pictures are of another size than what they become.
    """
    if not patches:
        return x
    pasted = torch.empty_like(x) if onto is None else onto
    for shift, patch in zip(shifts, patches, strict=True):
        top, bottom, left, right = (
            scale * edge for edge in (patch.rows.start, patch.rows.stop, patch.columns.start, patch.columns.stop)
        )
        rows = slice(scale * patch.top, scale * patch.top + bottom - top)
        columns = slice(scale * patch.left, scale * patch.left + right - left)
        pasted[..., top:bottom, left:right] = partners(x[..., rows, columns], shift)
    return pasted
