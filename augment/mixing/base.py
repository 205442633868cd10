"""What the ways of mixing share: what they draw, and what targets become of it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from augment.mixing.patches import Patch


@dataclass(frozen=True)
class Draw:
    """What is to become of a group of g samples; by default each stays as it is.

    shifts, weights: sample i's target is the sum over m of weights[m] * target[(i + shifts[m]) % g]
    patches:         for each shift what is seen of that sample, and where; () where whole pictures are blended
    zoom:            how many times as high and as wide pictures are made before patches are cut out of them; then
                     patches need not cover everything, and the rest is 0, the mean colour
    blend:           (shift, lam) of such pictures: lam of sample i and 1 - lam of sample (i + shift) % g
    paste:           a key for which objects of sample (i + shifts[1]) % g are laid over sample i
    """

    shifts: tuple[int, ...] = (0,)
    weights: tuple[float, ...] = (1.0,)
    patches: tuple[Patch, ...] = ()
    blend: tuple[int, float] | None = None
    zoom: tuple[float, float] | None = None
    paste: int | None = None


class Mixing(Protocol):
    """A way of mixing: draws from `rng` what is to become of a group of `size` samples of `height` x `width` px."""

    def draw(self, rng: np.random.Generator, size: int, height: int, width: int) -> Draw: ...


def draw_shifts(rng: np.random.Generator, size: int, count: int) -> tuple[int, ...]:
    """Draw `count` shifts for a group of `size`, which differ as long as there are enough samples."""
    order = rng.permutation(size)
    return tuple(int(order[i % size]) for i in range(count))


def draw_partner(rng: np.random.Generator, size: int) -> int:
    """Draw one shift that makes no sample its own partner; 0 for a group of one."""
    return int(rng.integers(1, size)) if size > 1 else 0


def mix_targets(targets: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """Compute float [n, K] targets (one-hot, soft or multi-label) mixed as the pixels were.

    `index`, `weights`: see `Drawn`.
    """
    return torch.einsum("nmk,nm->nk", targets[index], weights.to(targets.dtype))


def soft_targets(labels: Tensor, index: Tensor, weights: Tensor, num_classes: int) -> Tensor:
    """Return the mixed target float [n, K] of int64 labels [n].

    `cross_entropy` of it is the weighted sum of the labels'.
    """
    target = torch.zeros(len(labels), num_classes, dtype=weights.dtype, device=labels.device)
    return target.scatter_add_(1, labels[index], weights)
