"""CutMix (Yun et al. 2019, algorithm 1)."""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from augment.mixing.base import MixedGroup, draw_partner, partners

Box = tuple[int, int, int, int]


def cutmix_box(y: int, x: int, share: float, height: int, width: int) -> Box:
    """(top, left, bottom, right) about pixel (y, x) of a box of `share` of the area, cut off at the edges."""
    tall, wide = int(height * math.sqrt(share)), int(width * math.sqrt(share))
    top, left = y - tall // 2, x - wide // 2
    return max(top, 0), max(left, 0), min(top + tall, height), min(left + wide, width)


def cutmix(x: Tensor, shift: int, box: Box) -> Tensor:
    """x_i with the box (top, left, bottom, right) of x_j, j = (i + shift) % n; float [n, ..., H, W]."""
    top, left, bottom, right = box
    mixed = x.clone()
    mixed[..., top:bottom, left:right] = partners(x[..., top:bottom, left:right], shift)
    return mixed


@dataclass(frozen=True)
class CutMix:
    """A box of 1 - lam of the area, lam ~ Beta(alpha, alpha), about a uniform pixel; alpha 0 mixes nothing.

    The target's weights are the areas that are seen, since the edges may cut the box.
    """

    alpha: float = 1.0

    def __call__(self, x: Tensor, rng: np.random.Generator) -> MixedGroup:
        """Mix one group."""
        if not self.alpha:
            return MixedGroup(x)
        height, width = x.shape[-2:]
        shift, share = draw_partner(rng, len(x)), 1 - float(rng.beta(self.alpha, self.alpha))
        box = cutmix_box(int(rng.integers(height)), int(rng.integers(width)), share, height, width)
        pasted = (box[2] - box[0]) * (box[3] - box[1]) / (height * width)
        return MixedGroup(cutmix(x, shift, box), (0, shift), (1 - pasted, pasted))
