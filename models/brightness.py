"""Networks that restore the brightness of a picture and leave its colours, as SRCNN and VDSR do."""

from collections.abc import Callable

import torch
from torch import Tensor

LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)
OFFSET = 16 / 255
"""Y of RGB in 0..1 (ITU-R BT.601): from 16 / 255 to 235 / 255, as published figures are measured."""
SPAN = 219 / 255


def brightness(x: Tensor) -> Tensor:
    """Y of RGB in 0..1: float [B, 3, H, W] -> [B, 1, H, W]."""
    weight = torch.tensor(LUMA, dtype=x.dtype, device=x.device)
    return (x * weight[:, None, None]).sum(1, keepdim=True) + OFFSET


def restored(network: Callable[[Tensor], Tensor], x: Tensor, channels: int) -> Tensor:
    """Run a network of `channels` on float [B, C, H, W]: of 1 on the brightness of RGB, whose change all colours share.

    Cb and Cr stay, which are as published those of the enlarged picture. Pictures of 1 channel go in as they are.
    """
    if x.shape[1] == channels:
        return network(x)
    y = brightness(x)
    return x + (network(y) - y) / SPAN
