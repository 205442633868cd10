"""OpenPose's stages made light, on the features of a small network, as in Osokin 2018, "Real-time 2D multi-person pose
estimation on CPU: lightweight OpenPose": both kinds of maps share a stage's layers but the last.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (4, 8, 16, 32)
"""Of the backbone's maps."""
DILATIONS = (1, 2, 1, 2)
"""Of the 3x3 convolutions of a stage, which see as far by it as 13x13."""


class Maps(Protocol):
    """A backbone that gives maps of `STRIDES`, the finest first."""

    channels: list[int]

    def maps(self, x: Tensor) -> list[Tensor]:
        """Float [B, in_channels, H, W] -> [B, channels[i], ...]."""


def conv_bn(in_channels: int, channels: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    """Build a convolution that keeps the size, a batch norm and a ReLU."""
    conv = nn.Conv2d(in_channels, channels, kernel, 1, dilation * (kernel // 2), dilation, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


class Stage(nn.Module):
    """Float [B, in_channels, h, w] -> maps of one stage: [B, joints + 1, h, w], and [B, 2 limbs, h, w] if there are
    any.
    """

    def __init__(self, in_channels: int, channels: int, outs: Sequence[int]) -> None:
        super().__init__()
        entering = [in_channels, *[channels] * (len(DILATIONS) - 1)]
        self.layers = nn.Sequential(
            *(
                conv_bn(before, channels, dilation=dilation)
                for before, dilation in zip(entering, DILATIONS, strict=True)
            )
        )
        self.outs = nn.ModuleList(nn.Conv2d(channels, out, 1) for out in outs)
        for layer in self.outs:
            nn.init.normal_(layer.get_parameter("weight"), std=0.01)
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Float [B, in_channels, h, w] -> maps."""
        x = self.layers(x)
        return [out(x) for out in self.outs]


class PoseNet(nn.Module):
    """Float [B, in_channels, H, W] -> maps as of `OpenPose`, with a place every `stride` px, rounded up.

    Coarse maps of the backbone are enlarged and added to finer ones, from its last one down to that of `stride`.
    """

    def __init__(
        self, backbone: Maps, *, joints: int, limbs: int, stages: int, channels: int, stride: Literal[4, 8]
    ) -> None:
        super().__init__()
        assert isinstance(backbone, nn.Module)
        self.backbone = backbone
        self.stride = stride
        self.first = STRIDES.index(stride)
        self.laterals = nn.ModuleList(nn.Conv2d(before, channels, 1) for before in backbone.channels[self.first :])
        self.fuse = conv_bn(channels, channels)
        outs = [joints + 1, 2 * limbs] if limbs else [joints + 1]
        entering = [channels, *[channels + sum(outs)] * (stages - 1)]
        self.refine = nn.ModuleList(Stage(before, channels, outs) for before in entering)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Float [B, in_channels, H, W] -> maps of all stages."""
        maps = self.backbone.maps(x)[self.first :]
        *finer, merged = (lateral(one) for lateral, one in zip(self.laterals, maps, strict=True))
        for one in reversed(finer):
            merged = one + functional.interpolate(merged, size=one.shape[2:], mode="nearest")
        features = entering = self.fuse(merged)
        found = []
        for stage in self.refine:
            found.append(stage(entering))
            entering = torch.cat([*found[-1], features], 1)
        return dict(zip(("heat", "limbs"), (torch.stack(kind, 1) for kind in zip(*found, strict=True)), strict=False))
