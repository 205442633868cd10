"""UPerNet (Xiao et al. 2018, "Unified perceptual parsing for scene understanding"), its object path, as mmseg has it.

Pyramid pooling on the last map, FPN down from it, and all levels side by side through one convolution; HorFPN has a
gnConv in place of that one, as HorNet's release for segmentation. `variant: yassouali` is pytorch-segmentation's.
"""

from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from models.fpn import FILTER_SIZE, FPN, gated
from models.pspnet import PyramidPooling
from models.segmenter import conv_bn_relu, conv_head, enlarged

Fusion = Literal["fpn", "horfpn", "horfpn_gf"]


class Maps(Protocol):
    """A backbone that gives maps, finest first."""

    channels: list[int]

    def maps(self, x: Tensor) -> list[Tensor]:
        """Float [B, in_channels, H, W] -> [B, channels[i], ...]."""


class Decoder(nn.Module):
    """Four maps, finest first [B, in_channels[i], h_i, w_i] -> logits [B, num_classes, h_0, w_0]."""

    def __init__(self, in_channels: list[int], channels: int, num_classes: int, fpn: Fusion, dropout: float) -> None:
        super().__init__()
        last = in_channels[-1]
        self.pyramid = nn.Sequential(
            PyramidPooling(last, channels, align_corners=False), conv_bn_relu(last + 4 * channels, channels, 3)
        )
        self.fpn = FPN(
            in_channels[:-1],
            channels,
            lateral=partial(conv_bn_relu, kernel=1),
            output=partial(conv_bn_relu, kernel=3),
            mode="bilinear",
        )
        if fpn == "fpn":
            self.fuse = conv_bn_relu(4 * channels, channels, 3)
        else:
            layer = gated(4 * channels, channels, FILTER_SIZE if fpn == "horfpn_gf" else None)
            self.fuse = nn.Sequential(layer, nn.BatchNorm2d(channels), nn.ReLU(True))
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(channels, num_classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """[B, in_channels[i], h_i, w_i] -> logits [B, num_classes, h_0, w_0]."""
        top = self.pyramid(maps[-1])
        levels: list[Tensor] = self.fpn(maps[:-1], top)
        first, *others = [*levels, top]
        fused = self.fuse(torch.cat([first, *(enlarged(x, first) for x in others)], 1))
        return self.head(self.dropout(fused))


class YassoualiDecoder(nn.Module):
    """The same of pytorch-segmentation: bins of 1, 2, 4, 6, and each sum of two neighbouring maps alone.

    Its code has one 3x3 convolution for all three sums, by mistake, under three names; here they are three.
    """

    def __init__(self, in_channels: list[int], num_classes: int, dropout: float) -> None:
        super().__init__()
        first, *others = in_channels
        last = in_channels[-1]
        self.pyramid = nn.Sequential(
            PyramidPooling(last, bins=(1, 2, 4, 6)), conv_bn_relu(2 * last, last, 3).append(nn.Dropout2d(dropout))
        )
        self.laterals = nn.ModuleList(nn.Conv2d(before, first, 1) for before in others)
        self.outputs = nn.ModuleList(nn.Conv2d(first, first, 3, padding=1) for _ in others)
        self.fuse = conv_bn_relu(len(in_channels) * first, first, 3)
        self.head = nn.Conv2d(first, num_classes, 3, padding=1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """[B, in_channels[i], h_i, w_i] -> logits [B, num_classes, h_0, w_0]."""
        first, *others = maps[:-1]
        maps = [*others, self.pyramid(maps[-1])]
        maps = [first, *(lateral(x) for lateral, x in zip(self.laterals, maps, strict=True))]
        # The port counts these convolutions from the coarsest sum on.
        sums = [
            output(enlarged(coarse, fine, align_corners=True) + fine)
            for output, fine, coarse in zip(reversed(self.outputs), maps[:-1], maps[1:], strict=True)
        ]
        first, *others = [*sums, maps[-1]]
        return self.head(self.fuse(torch.cat([first, *(enlarged(x, first, align_corners=True) for x in others)], 1)))


class UPerNet(nn.Module):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W].

    With `auxiliary_head`, training gives two of these: the decoder's, and those of a head on the third map. The mean of
    a map is one value a channel, whose batch norm needs two samples or more in training.
    """

    margin_px = 0

    def __init__(
        self,
        backbone: Maps,
        *,
        num_classes: int,
        channels: int,
        fpn: Fusion,
        dropout: float,
        auxiliary_head: bool,
        variant: Literal["mmseg", "yassouali"] = "mmseg",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier: nn.Module
        self.aux_classifier = None
        if variant == "yassouali":
            self.classifier = YassoualiDecoder(backbone.channels, num_classes, dropout)
        else:
            self.classifier = Decoder(backbone.channels, channels, num_classes, fpn, dropout)
            if auxiliary_head:
                third = backbone.channels[2]
                self.aux_classifier = conv_head(third, channels // 2, num_classes, nn.Dropout2d(dropout))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Float [B, in_channels, H, W] -> logits [B, num_classes, H, W]; a pair in training with `auxiliary_head`."""
        maps = self.backbone.maps(x)
        logits = enlarged(self.classifier(maps), x)
        if self.aux_classifier is None or not self.training:
            return logits
        return logits, enlarged(self.aux_classifier(maps[2]), x)
