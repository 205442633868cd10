"""What restoration learns from: how far a picture is from its target, n pictures float [n, 3, H, W], white is 1."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

EPSILON = 1e-3
"""Of Charbonnier: from here on differences count in full."""

TERMS: dict[str, Callable[[Tensor], Tensor]] = {
    "l1": torch.abs,
    "l2": torch.square,
    "charbonnier": lambda difference: (difference.square() + EPSILON**2).sqrt(),
}
"""Of each difference, by the names of a recipe's `loss.terms` (Lai et al. 2017, equation 4, for Charbonnier)."""


def distances(terms: Mapping[str, float], image: Tensor, target: Tensor) -> Tensor:
    """float32 [n]: the weighted sum of the terms, each the mean over a picture's values."""
    difference = image.float() - target.float()
    return torch.stack([weight * TERMS[name](difference).mean((1, 2, 3)) for name, weight in terms.items()]).sum(0)
