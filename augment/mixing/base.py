"""What the ways of mixing share: a mixed group, partners, and targets."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class MixedGroup:
    """A group of g samples after mixing.

    pixels: float [g, ..., H, W]
    shifts, weights: sample i's target is the sum over m of weights[m] * target[(i + shifts[m]) % g]
    """

    pixels: Tensor
    shifts: tuple[int, ...] = (0,)
    weights: tuple[float, ...] = (1.0,)


class Mixing(Protocol):
    """A way of mixing: draws from `rng` and mixes one group, float [g, ..., H, W], which stays as it was."""

    def __call__(self, x: Tensor, rng: np.random.Generator) -> MixedGroup: ...


def partners(x: Tensor, shift: int) -> Tensor:
    """Row i is x[(i + shift) % n]. `torch.roll` would lose the channels-last layout."""
    shift %= len(x)
    return torch.cat([x[shift:], x[:shift]]) if shift else x


def draw_shifts(rng: np.random.Generator, size: int, count: int) -> tuple[int, ...]:
    """`count` shifts for a group of `size`, which differ as long as there are enough samples."""
    order = rng.permutation(size)
    return tuple(int(order[i % size]) for i in range(count))


def draw_partner(rng: np.random.Generator, size: int) -> int:
    """One shift that makes no sample its own partner; 0 for a group of one."""
    return int(rng.integers(1, size)) if size > 1 else 0


def mix_targets(targets: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """float [n, K] targets (one-hot, soft or multi-label) mixed as the pixels were; `index`, `weights`: see `Mixed`."""
    return torch.einsum("nmk,nm->nk", targets[index], weights.to(targets.dtype))


def soft_targets(labels: Tensor, index: Tensor, weights: Tensor, num_classes: int) -> Tensor:
    """The mixed target float [n, K] of int64 labels [n]. `cross_entropy` of it is the weighted sum of the labels'."""
    target = torch.zeros(len(labels), num_classes, dtype=weights.dtype, device=labels.device)
    return target.scatter_add_(1, labels[index], weights)
