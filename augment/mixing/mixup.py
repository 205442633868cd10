"""mixup (Zhang et al. 2018), and AutoAugment's SamplePairing (Inoue 2018)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from augment.mixing.base import Draw, draw_partner
from augment.mixing.patches import partners


def mixup(x: Tensor, shift: int, lam: float) -> Tensor:
    """Compute lam * x_i + (1 - lam) * x_j with j = (i + shift) % n; float [n, ...]."""
    return torch.lerp(partners(x, shift), x, lam)


@dataclass(frozen=True)
class Mixup:
    """lam ~ Beta(alpha, alpha), for pixels and targets; alpha 0 mixes nothing.

    The paper has 0.2 for ImageNet, 1 for CIFAR.
    """

    alpha: float = 0.2

    def draw(self, rng: np.random.Generator, size: int, height: int, width: int) -> Draw:
        """Draw the partner and the weight of a group."""
        if not self.alpha:
            return Draw()
        shift, lam = draw_partner(rng, size), float(rng.beta(self.alpha, self.alpha))
        return Draw((0, shift), (lam, 1 - lam), blend=(shift, lam))


@dataclass(frozen=True)
class SamplePairing:
    """A share up to `max_weight` of another sample; the target stays the sample's own. 0.4 is AutoAugment's maximum."""

    max_weight: float = 0.4

    def draw(self, rng: np.random.Generator, size: int, height: int, width: int) -> Draw:
        """Draw the partner and the weight of a group."""
        return Draw(blend=(draw_partner(rng, size), 1 - float(rng.uniform(0, self.max_weight))))
