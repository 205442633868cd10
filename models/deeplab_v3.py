"""DeepLab v3 (Chen et al. 2017, "Rethinking atrous convolution for semantic image segmentation"), torchvision's.

Beside the paper's, torchvision has a 3x3 convolution more before the classifier, an auxiliary head on the third stage
as FCN-ResNet has one, and no multi-grid; names of parameters are its own, so its weights load as they are.

The other one is the paper's on Caffe's ResNet, with multi-grid, as deeplab-pytorch has it.
"""

from collections import OrderedDict
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.multi_scale import MultiScaleSegmenter
from models.resnet import Backbone
from models.segmenter import Segmenter, conv_bn_relu, conv_head

# Section 3.3: twice as large where the map has twice the size.
RATES = {16: (6, 12, 18), 8: (12, 24, 36)}
MULTI_GRID = (1, 2, 4)
"""Of the three blocks of the last stage (table 6)."""


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (section 3.3): [B, in_channels, H, W] -> [B, channels, H, W].

    A 1x1 convolution, a 3x3 one of each rate and the mean of the map, side by side, then a 1x1 convolution over all.
    """

    def __init__(self, in_channels: int, channels: int, rates: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        branches = [conv_bn_relu(in_channels, channels, 1)]
        branches += [conv_bn_relu(in_channels, channels, 3, rate) for rate in rates]
        branches.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_bn_relu(in_channels, channels, 1)))
        self.convs = nn.ModuleList(branches)
        self.project = nn.Sequential(*conv_bn_relu(len(branches) * channels, channels, 1), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, channels, H, W]."""
        *maps, mean = [branch(x) for branch in self.convs]
        # Bilinear interpolation of one value is that value.
        return self.project(torch.cat([*maps, mean.expand_as(maps[0])], 1))


class DeepLabV3(Segmenter):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W], of any size.

    With `auxiliary_head`, training gives two of these: the head's, and those of the head on the third stage. The mean
    of a map is one value a channel, whose batch norm needs two samples or more in training.
    """

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
        trunk = Backbone(depth, width=width, output_stride=output_stride, **backbone)
        channels = 4 * width
        classifier = nn.Sequential(
            ASPP(trunk.num_features, channels, RATES[output_stride], dropout),
            *conv_bn_relu(channels, channels, 3),
            nn.Conv2d(channels, num_classes, 1),
        )
        third = trunk.channels[2]
        auxiliary = conv_head(third, channels, num_classes, nn.Dropout(0.1)) if auxiliary_head else None
        super().__init__(trunk, classifier, auxiliary)


class DeepLabV3MultiGrid(MultiScaleSegmenter):
    """DeepLab v3 whose last stage dilates by 1, 2 and 4 times its rate (section 3.1, "multi-grid").

    One layer behind the pyramid gives logits. In several sizes with `msc`.
    """

    def __init__(
        self, depth: int, *, num_classes: int, width: int, output_stride: Literal[8, 16], msc: bool, **backbone: Any
    ) -> None:
        trunk = Backbone(
            depth,
            width=width,
            stem="imagenet",
            output_stride=output_stride,
            first_dilates=True,
            multi_grid=MULTI_GRID,
            caffe=True,
            **backbone,
        )
        aspp = ASPP(trunk.num_features, 4 * width, RATES[output_stride], 0.0)
        head = nn.Conv2d(4 * width, num_classes, 1)
        super().__init__(trunk, nn.Sequential(OrderedDict(aspp=aspp, head=head)), msc)
