"""Mosaic: four whole pictures around a point, seen nearer or from afar (Bochkovskiy et al. 2020, "YOLOv4", figure 3).

As YOLOv5 draws it: they are laid on a canvas of twice the size, around a point in its middle half, and a window of the
size of one is taken, which is moved and scaled.
"""

from dataclasses import dataclass

import numpy as np

from augment.mixing.base import Draw, draw_shifts
from augment.mixing.patches import Patch

SHIFT = 0.1
"""Published: the window is moved by up to this share of a side."""


def corner_patch(point: tuple[int, int], picture: tuple[int, int], size: tuple[int, int], corner: int) -> Patch:
    """Return what is seen of a picture of `picture` (H, W) px that ends at `point` (y, x) of a view of `size` (H, W).

    corner: 0 is above it and on its left, 1 above and on its right, 2 below and on its left, 3 below and on its right

    Where nothing of it is seen, the patch has no rows or no columns.
    """
    starts = [at if corner & side else at - length for at, length, side in zip(point, picture, (2, 1), strict=True)]
    seen = []
    for start, length, whole in zip(starts, picture, size, strict=True):
        first = min(max(start, 0), whole)
        seen.append((first, max(min(start + length, whole), first)))
    (top, bottom), (left, right) = seen
    return Patch(slice(top, bottom), slice(left, right), top - starts[0], left - starts[1])


@dataclass(frozen=True)
class Mosaic:
    """The four meet at a uniform point; they are scaled by 1 - scale to 1 + scale. What none covers is the mean colour.

    Weights are the shares of what is covered.
    """

    scale: float = 0.5

    def draw(self, rng: np.random.Generator, size: int, height: int, width: int) -> Draw:
        """Draw the partners of a group, their scale, and what is seen of them."""
        factor = float(rng.uniform(1 - self.scale, 1 + self.scale))
        picture = max(1, round(height * factor)), max(1, round(width * factor))
        point = [
            round(length * (0.5 + factor * float(rng.uniform(-0.5, 0.5)) + float(rng.uniform(-SHIFT, SHIFT))))
            for length in (height, width)
        ]
        patches = [corner_patch((point[0], point[1]), picture, (height, width), corner) for corner in range(4)]
        areas = [(one.rows.stop - one.rows.start) * (one.columns.stop - one.columns.start) for one in patches]
        zoom = picture[0] / height, picture[1] / width
        shares = tuple(area / sum(areas) for area in areas)
        return Draw(draw_shifts(rng, size, 4), shares, tuple(patches), zoom=zoom)
