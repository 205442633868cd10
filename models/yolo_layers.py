"""The layers of YOLOv5 v6, each of a map [B, C, H, W]; names of parameters are those of published state dicts."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.gnconv import ChannelNorm, GnConv
from models.hornet import Backbone, Block


class Conv(nn.Module):
    """A convolution without bias, a batch norm and SiLU; it keeps the size but for the stride."""

    def __init__(
        self, in_channels: int, channels: int, kernel: int = 1, stride: int = 1, padding: int | None = None
    ) -> None:
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, channels, H / stride, W / stride]."""
        return functional.silu(self.bn(self.conv(x)), inplace=True)


Mix = Callable[[int], nn.Module]
"""Makes what looks at a place's surroundings in a bottleneck, of its channels."""


def plain(channels: int) -> nn.Module:
    """Make the published 3x3 convolution."""
    return Conv(channels, channels, 3)


def gated(order: int) -> Mix:
    """Make gnConvs of an order in place of the 3x3 convolutions, unscaled as HorFPN's (Rao et al. 2022, HorNet)."""
    return partial(GnConv, order=order)


class Bottleneck(nn.Module):
    """A 1x1 and a 3x3 convolution, or what `mix` makes in place of the latter, perhaps beside a shortcut."""

    def __init__(self, channels: int, shortcut: bool, mix: Mix) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels)
        self.cv2 = mix(channels)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> the same."""
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C3(nn.Module):
    """Half of the channels through bottlenecks, half past them (after Wang et al. 2020, "CSPNet", section 3.1)."""

    def __init__(self, in_channels: int, channels: int, repeats: int, shortcut: bool = True, mix: Mix = plain) -> None:
        super().__init__()
        half = channels // 2
        self.cv1 = Conv(in_channels, half)
        self.cv2 = Conv(in_channels, half)
        self.cv3 = Conv(2 * half, channels)
        self.m = nn.Sequential(*[Bottleneck(half, shortcut, mix) for _ in range(repeats)])

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, channels, H, W]."""
        return self.cv3(torch.cat([self.m(self.cv1(x)), self.cv2(x)], 1))


class HorBlocks(nn.Sequential):
    """HorNet's blocks in place of a C3, which leave the number of channels as it is: [B, C, H, W] -> the same."""

    def __init__(self, channels: int, repeats: int, order: int) -> None:
        super().__init__(*[Block(channels, order, None, 0.0) for _ in range(repeats)])


class HorNetLevels(Backbone):
    """A HorNet as a backbone: float [B, in_channels, H, W] -> its maps of strides 8, 16 and 32, each normed."""

    def __init__(self, in_channels: int, width: int, depths: tuple[int, int, int, int]) -> None:
        super().__init__(
            in_channels=in_channels,
            width=width,
            depths=depths,
            orders=(2, 3, 4, 5),
            kernel=7,
            scale=1 / 3,
            global_filter=False,
            size_px=224,
            patch_px=4,
            drop_path=0.0,
            gradient_checkpointing=False,
        )
        self.norms = nn.ModuleList([ChannelNorm(one) for one in self.channels[1:]])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Float [B, in_channels, H, W] -> [B, 2 width, H / 8, W / 8], [B, 4 width, H / 16, W / 16] and so on."""
        return [norm(one) for norm, one in zip(self.norms, self.stage_maps(x)[1:], strict=True)]


class SPPF(nn.Module):
    """Three max pools in a row, of which each sees further, beside one another (He et al. 2015, "SPP", faster)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels // 2)
        self.cv2 = Conv(channels // 2 * 4, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> the same."""
        seen = [self.cv1(x)]
        for _ in range(3):
            seen.append(functional.max_pool2d(seen[-1], 5, 1, 2))
        return self.cv2(torch.cat(seen, 1))


class Detect(nn.Module):
    """A 1x1 convolution a level, and the anchors, float [L, A, 2] in strides of their level."""

    anchors: Tensor

    def __init__(self, channels: list[int], anchors: Tensor, numbers: int) -> None:
        super().__init__()
        self.register_buffer("anchors", anchors)
        self.m = nn.ModuleList([nn.Conv2d(one, anchors.shape[1] * numbers, 1) for one in channels])

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps [B, channels[i], h, w] -> [B, P, numbers]: level by level, anchor by anchor, row by row."""
        said = []
        for head, one in zip(self.m, maps, strict=True):
            found: Any = head(one).unflatten(1, (self.anchors.shape[1], -1))
            said.append(found.permute(0, 1, 3, 4, 2).flatten(1, 3))
        return torch.cat(said, 1)
