"""DeepLab v3 (Chen et al. 2017, "Rethinking atrous convolution for semantic image segmentation"), torchvision's.

Beside the paper's, torchvision has a 3x3 convolution more before the classifier, an auxiliary head on the third stage
as FCN-ResNet has one, and no multi-grid; names of parameters are its own, so its weights load as they are.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.resnet import Backbone

# Section 3.3: twice as large where the map has twice the size.
RATES = {16: (6, 12, 18), 8: (12, 24, 36)}


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (section 3.3): [B, in_channels, H, W] -> [B, channels, H, W].

    A 1x1 convolution, a 3x3 one of each rate and the mean of the map, side by side, then a 1x1 convolution over all.
    """

    def __init__(self, in_channels: int, channels: int, rates: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        branches = [_conv_bn_relu(in_channels, channels, 1)]
        branches += [_conv_bn_relu(in_channels, channels, 3, rate) for rate in rates]
        branches.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), *_conv_bn_relu(in_channels, channels, 1)))
        self.convs = nn.ModuleList(branches)
        self.project = nn.Sequential(*_conv_bn_relu(len(branches) * channels, channels, 1), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, channels, H, W]."""
        *maps, mean = [branch(x) for branch in self.convs]
        # Bilinear interpolation of one value is that value.
        return self.project(torch.cat([*maps, mean.expand_as(maps[0])], 1))


class DeepLabV3(nn.Module):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W], of any size.

    With `auxiliary_head`, training gives two of these: the head's, and those of the head on the third stage. The mean
    of a map is one value a channel, whose batch norm needs two samples or more in training.
    """

    margin_px = 0

    def __init__(
        self,
        depth: int,
        *,
        num_classes: int,
        width: int,
        output_stride: Literal[8, 16],
        dropout: float,
        auxiliary_head: bool,
        **backbone: Any,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(depth, width=width, output_stride=output_stride, **backbone)
        channels = 4 * width
        self.classifier = nn.Sequential(
            ASPP(self.backbone.num_features, channels, RATES[output_stride], dropout),
            *_conv_bn_relu(channels, channels, 3),
            nn.Conv2d(channels, num_classes, 1),
        )
        self.aux_classifier = None
        if auxiliary_head:
            layers = _conv_bn_relu(self.backbone.channels[2], channels, 3)
            self.aux_classifier = nn.Sequential(*layers, nn.Dropout(0.1), nn.Conv2d(channels, num_classes, 1))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Float [B, in_channels, H, W] -> logits [B, num_classes, H, W]; a pair in training with `auxiliary_head`."""
        *_, third, last = self.backbone.maps(x)
        logits = _enlarged(self.classifier(last), x)
        if self.aux_classifier is None or not self.training:
            return logits
        return logits, _enlarged(self.aux_classifier(third), x)


def _conv_bn_relu(in_channels: int, channels: int, kernel: int, rate: int = 1) -> nn.Sequential:
    padding = rate * (kernel // 2)
    conv = nn.Conv2d(in_channels, channels, kernel, padding=padding, dilation=rate, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(True))


def _enlarged(logits: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(logits, size=like.shape[2:], mode="bilinear", align_corners=False)
