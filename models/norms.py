"""What detectors have in place of the batch norms of their backbone, whose batches of large pictures are small."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["frozen", "batch", "group"]


class FrozenBatchNorm2d(nn.Module):
    """A batch norm that learns nothing: [B, C, H, W] -> the same; all four of its tensors [C] come with weights."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None].to(x.dtype) + shift[:, None, None].to(x.dtype)


def normed(network: nn.Module, norm: Norm, eps: float) -> nn.Module:
    """Put another norm in the place of each batch norm, in its state of the start, and return the network.

    Groups are 32 where that divides the channels (Wu & He 2018, "Group normalization", section 3.1).
    """
    for name, module in list(network.named_children()):
        if not isinstance(module, nn.BatchNorm2d):
            normed(module, norm, eps)
            continue
        channels, new = module.num_features, module
        if norm == "batch":
            module.eps = eps
            continue
        other: nn.Module
        if norm == "group":
            other = nn.GroupNorm(math.gcd(32, channels), channels, eps)
        else:
            other = FrozenBatchNorm2d(channels, eps)
        with torch.no_grad():
            other.weight.copy_(new.weight)
            other.bias.copy_(new.bias)
        setattr(network, name, other)
    return network
