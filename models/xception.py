"""Aligned Xception (Chollet 2017; Chen et al. 2018, "DeepLab v3+", figure 4), as pytorch-segmentation has it.

A batch norm is behind each convolution of one channel, and strides stand in place of max pools. Names of parameters
are that code's.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from models.recompute import recomputed

MIDDLE = 16
"""Blocks of the middle flow."""


class SeparableConv(nn.Module):
    """A 3x3 convolution of each channel, a batch norm and a 1x1 one: [B, C, H, W] -> [B, C', H/stride, W/stride]."""

    def __init__(self, in_channels: int, channels: int, stride: int, rate: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, stride, rate, rate, groups=in_channels, bias=False)
        self.bn = nn.BatchNorm2d(in_channels)
        self.pointwise = nn.Conv2d(in_channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H/stride, W/stride]."""
        return self.pointwise(self.bn(self.conv1(x)))


class Block(nn.Module):
    """Three separable convolutions beside a shortcut: [B, C, H, W] -> [B, C', H/stride, W/stride].

    `widens_late`: channels become C' in the second of them, not the first. `relu_first`: begin with ReLU, which the
    shortcut sees too, as that code computes it in place.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        rate: int = 1,
        *,
        widens_late: bool = False,
        relu_first: bool = True,
    ) -> None:
        super().__init__()
        self.relu_first = relu_first
        self.skip: nn.Module | None = None
        if stride != 1 or in_channels != channels:
            self.skip = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
            self.skipbn = nn.BatchNorm2d(channels)
        middle = in_channels if widens_late else channels
        layers: list[nn.Module] = [
            *([nn.Identity()] if relu_first else []),  # in place of ReLU, so that the rest has that code's numbers
            *(SeparableConv(in_channels, middle, 1, rate), nn.BatchNorm2d(middle), nn.ReLU(True)),
            *(SeparableConv(middle, channels, 1, rate), nn.BatchNorm2d(channels), nn.ReLU(True)),
            *(SeparableConv(channels, channels, stride, rate), nn.BatchNorm2d(channels)),
        ]
        self.rep = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H/stride, W/stride]."""
        if self.relu_first:
            x = x.relu()
        return self.rep(x) + (x if self.skip is None else self.skipbn(self.skip(x)))


class Xception(nn.Module):
    """The network without a head: float [B, in_channels, H, W] -> maps of strides 4 and 8 or 16.

    `channels` are those of both maps. At output stride 8 the middle flow dilates by 2 and the exit flow by 2 and 4, at
    16 only the last three convolutions do, by 2.
    """

    def __init__(
        self, *, width: int, in_channels: int, output_stride: Literal[8, 16], gradient_checkpointing: bool
    ) -> None:
        super().__init__()
        self.gradient_checkpointing = gradient_checkpointing
        half, middle = width // 2, round(728 * width / 64)
        rate = 16 // output_stride
        self.conv1 = nn.Conv2d(in_channels, half, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        blocks = [
            Block(width, 2 * width, 2, relu_first=False),
            Block(2 * width, 4 * width, 2),
            Block(4 * width, middle, 2 // rate),
            *(Block(middle, middle, rate=rate) for _ in range(MIDDLE)),
            Block(middle, 16 * width, rate=rate, widens_late=True),
        ]
        for number, block in enumerate(blocks, 1):
            self.add_module(f"block{number}", block)
        self.exits = ("3", "4", "5")
        ends = (16 * width, 24 * width, 24 * width, 32 * width)
        for last, before, after in zip(self.exits, ends, ends[1:], strict=False):
            self.add_module(f"conv{last}", SeparableConv(before, after, 1, 2 * rate))
            self.add_module(f"bn{last}", nn.BatchNorm2d(after))
        self.channels = [2 * width, 32 * width]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Float [B, in_channels, H, W] -> [B, channels[0], H/4, W/4] and [B, channels[1], H/16, W/16] (or H/8, W/8)."""
        x = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        early = x = self._run("block1", x)
        for place in range(2, MIDDLE + 5):
            x = self._run(f"block{place}", x)
        x = x.relu()
        for number in self.exits:
            x = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(x)).relu()
        return [early, x]

    def _run(self, name: str, x: Tensor) -> Tensor:
        block = self.get_submodule(name)
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            return recomputed(block, block, x)
        return block(x)
