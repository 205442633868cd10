"""mixup (Zhang et al. 2018), and AutoAugment's SamplePairing (Inoue 2018)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from augment.mixing.base import MixedGroup, draw_partner, partners


def mixup(x: Tensor, shift: int, lam: float) -> Tensor:
    """lam * x_i + (1 - lam) * x_j with j = (i + shift) % n; float [n, ...]."""
    return torch.lerp(partners(x, shift), x, lam)


@dataclass(frozen=True)
class Mixup:
    """lam ~ Beta(alpha, alpha), for pixels and targets; alpha 0 mixes nothing.

    The paper has 0.2 for ImageNet, 1 for CIFAR.
    """

    alpha: float = 0.2

    def __call__(self, x: Tensor, rng: np.random.Generator) -> MixedGroup:
        """Mix one group."""
        if not self.alpha:
            return MixedGroup(x)
        shift, lam = draw_partner(rng, len(x)), float(rng.beta(self.alpha, self.alpha))
        return MixedGroup(mixup(x, shift, lam), (0, shift), (lam, 1 - lam))


@dataclass(frozen=True)
class SamplePairing:
    """A share up to `max_weight` of another sample; the target stays the sample's own. 0.4 is AutoAugment's maximum."""

    max_weight: float = 0.4

    def __call__(self, x: Tensor, rng: np.random.Generator) -> MixedGroup:
        """Mix one group."""
        return MixedGroup(mixup(x, draw_partner(rng, len(x)), 1 - float(rng.uniform(0, self.max_weight))))
