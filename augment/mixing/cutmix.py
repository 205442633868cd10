"""CutMix (Yun et al. 2019, algorithm 1)."""

import math
from dataclasses import dataclass

import numpy as np

from augment.mixing.base import Draw, draw_partner
from augment.mixing.patches import Patch

Box = tuple[int, int, int, int]


def cutmix_box(y: int, x: int, share: float, height: int, width: int) -> Box:
    """Return (top, left, bottom, right) about pixel (y, x) of a box of `share` of the area, cut off at the edges."""
    tall, wide = int(height * math.sqrt(share)), int(width * math.sqrt(share))
    top, left = y - tall // 2, x - wide // 2
    return max(top, 0), max(left, 0), min(top + tall, height), min(left + wide, width)


def cutmix_patches(box: Box, height: int, width: int) -> tuple[Patch, Patch]:
    """Return the whole picture, and over it the box (top, left, bottom, right) of another one, at its own place."""
    top, left, bottom, right = box
    whole = Patch(slice(0, height), slice(0, width), 0, 0)
    return whole, Patch(slice(top, bottom), slice(left, right), top, left)


@dataclass(frozen=True)
class CutMix:
    """A box of 1 - lam of the area, lam ~ Beta(alpha, alpha), about a uniform pixel; alpha 0 mixes nothing.

    The target's weights are the areas that are seen, since the edges may cut the box.
    """

    alpha: float = 1.0

    def draw(self, rng: np.random.Generator, size: int, height: int, width: int) -> Draw:
        """Draw the partner and the box of a group."""
        if not self.alpha:
            return Draw()
        shift, share = draw_partner(rng, size), 1 - float(rng.beta(self.alpha, self.alpha))
        box = cutmix_box(int(rng.integers(height)), int(rng.integers(width)), share, height, width)
        pasted = (box[2] - box[0]) * (box[3] - box[1]) / (height * width)
        return Draw((0, shift), (1 - pasted, pasted), cutmix_patches(box, height, width))
