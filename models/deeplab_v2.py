"""DeepLab v2 (Chen et al. 2017, "DeepLab: semantic image segmentation with deep convolutional nets, atrous convolution,
and fully connected CRFs"), and its beginning, which is also called v1 on ResNet.

The ResNet is Caffe's: bottlenecks stride in their first convolution, and the max pool rounds up. Logits are of places
8 px apart, enlarged.
"""

from typing import Any

from torch import Tensor, nn

from models.multi_scale import MultiScaleSegmenter
from models.resnet import Backbone
from models.segmenter import Segmenter


class DeepLabV1ResNet(Segmenter):
    """A dilated ResNet and a 1x1 convolution: float [B, in_channels, H, W] -> logits [B, num_classes, H, W], any size.

    The network of the weights of COCO with which v2 starts.
    """

    def __init__(self, depth: int, *, num_classes: int, **backbone: Any) -> None:
        trunk = _caffe(depth, **backbone)
        super().__init__(trunk, nn.Conv2d(trunk.num_features, num_classes, 1), None)


class SummedASPP(nn.Module):
    """Atrous spatial pyramid pooling of v2 (section 3.2): the sum of a 3x3 convolution to logits at each rate.

    [B, in_channels, H, W] -> [B, num_classes, H, W].
    """

    def __init__(self, in_channels: int, num_classes: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        for i, rate in enumerate(rates):
            conv = nn.Conv2d(in_channels, num_classes, 3, padding=rate, dilation=rate)
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # there is one
            self.add_module(f"c{i}", conv)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, num_classes, H, W]."""
        first, *others = [conv(x) for conv in self.children()]
        for other in others:
            first = first + other
        return first


class DeepLabV2(MultiScaleSegmenter):
    """Caffe's ResNet and the sum of convolutions of several rates; in several sizes with `msc`."""

    def __init__(self, depth: int, *, num_classes: int, rates: tuple[int, ...], msc: bool, **backbone: Any) -> None:
        trunk = _caffe(depth, **backbone)
        super().__init__(trunk, SummedASPP(trunk.num_features, num_classes, rates), msc)


def _caffe(depth: int, **options: Any) -> Backbone:
    return Backbone(depth, stem="imagenet", output_stride=8, first_dilates=True, caffe=True, **options)
