"""Stochastic depth (Huang et al. 2016, "Deep networks with stochastic depth"): residual branches left out at random."""

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Zeroes whole rows of a residual branch with probability `rate` while training, and scales up the others."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def mask(self, branch: Tensor) -> Tensor | None:
        """Return one factor for each row of `branch` [B, ...], shaped [B, 1, ...]; None when nothing is dropped."""
        if not self.training or self.rate == 0:
            return None
        keep = 1 - self.rate
        return branch.new_empty((len(branch), *[1] * (branch.dim() - 1))).bernoulli_(keep).div_(keep)

    def forward(self, branch: Tensor) -> Tensor:
        """Map [B, ...] -> [B, ...]."""
        mask = self.mask(branch)
        return branch if mask is None else branch * mask

    def add_scaled(self, x: Tensor, branch: Tensor, gamma: Tensor) -> Tensor:
        """Add drop_path(gamma * branch) to x [B, ...], in one pass over the map."""
        mask = self.mask(branch)
        return torch.addcmul(x, branch, gamma if mask is None else gamma * mask)


def drop_path_rates(rate: float, depth: int) -> list[float]:
    """Return one rate a block: from 0 in the first, in equal steps, to `rate` in the last."""
    return torch.linspace(0, rate, depth, device="cpu").tolist()
