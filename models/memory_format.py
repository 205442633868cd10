"""Memory formats in which a pixel's channels are neighbours."""

import torch
from torch import nn

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""By the number of axes. `nn.Module.to` takes one format, and fails on a model that has kernels of both numbers."""


@torch.no_grad()
def channels_last(model: nn.Module) -> None:
    """Lay out the kernels [O, I, H, W] and [O, I, T, H, W] of a model channels-last, in place; values stay."""
    for parameter in model.parameters():
        if parameter.dim() in CHANNELS_LAST:
            parameter.data = parameter.data.contiguous(memory_format=CHANNELS_LAST[parameter.dim()])
