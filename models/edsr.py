"""EDSR (Lim et al. 2017, "Enhanced deep residual networks for single image super-resolution"), and parts of it that
RCAN and RDN have, too.

Blocks have neither norms nor an activation behind their sum; maps stay as large as the input until the tail enlarges
them. Names of parameters are those of the authors' release.
"""

from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""Of the training pictures of DIV2K, RGB in 0..1."""


class MeanShift(nn.Module):
    """Add `sign` times the mean of DIV2K to float [B, 3, H, W], whose values reach from 0 to `pixel_range`.

    The release has it as a 1x1 convolution that does not learn; so its weight and bias are buffers here.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, pixel_range: float, sign: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(3).reshape(3, 3, 1, 1))
        self.register_buffer("bias", sign * pixel_range * torch.tensor(DIV2K_MEAN))

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> the same."""
        return functional.conv2d(x, self.weight, self.bias)


def conv(channels: int, out: int, kernel: int = 3) -> nn.Conv2d:
    """Make a convolution that keeps the size."""
    return nn.Conv2d(channels, out, kernel, padding=kernel // 2)


def upsampler(channels: int, scale: int) -> nn.Sequential:
    """Enlarge maps [B, C, H, W] -> [B, C, scale H, scale W] by sub-pixel convolutions (Shi et al. 2016); x4 by two of
    x2, x1 by none.
    """
    factors = [3] if scale == 3 else [2] * round(log2(scale))
    layers = [layer for s in factors for layer in (conv(channels, channels * s * s), nn.PixelShuffle(s))]
    return nn.Sequential(*layers)


class ResBlock(nn.Module):
    """Two convolutions with a ReLU between; x + residual_scale * their answer (section 3.3)."""

    def __init__(self, width: int, residual_scale: float) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(width, width), nn.ReLU(True), conv(width, width))
        self.residual_scale = residual_scale

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same."""
        return x + self.residual_scale * self.body(x)


class EDSR(nn.Module):
    """Float [B, 3, H, W] -> [B, 3, scale H, scale W], values from 0 to `pixel_range` in both.

    `reach_px`: a pixel of the answer depends on no pixel of the input that is further away than that.
    """

    def __init__(self, *, scale: int, blocks: int, width: int, residual_scale: float, pixel_range: float) -> None:
        super().__init__()
        self.scale = scale
        self.reach_px = 2 * blocks + 4
        self.sub_mean, self.add_mean = (MeanShift(pixel_range, sign) for sign in (-1, 1))
        self.head = nn.Sequential(conv(3, width))
        self.body = nn.Sequential(*(ResBlock(width, residual_scale) for _ in range(blocks)), conv(width, width))
        self.tail = nn.Sequential(upsampler(width, scale), conv(width, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Float [B, 3, H, W] -> [B, 3, scale H, scale W]."""
        x = self.head(self.sub_mean(x))
        return self.add_mean(self.tail(x + self.body(x)))
