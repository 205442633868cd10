"""DeepLab v3+ (Chen et al. 2018, "Encoder-decoder with atrous separable convolution for semantic image segmentation").

Two widely used ports have the same parameters and differ in what they do. `yassouali` (pytorch-segmentation): ResNet as
torchvision has it, dropout, corners that meet. `kazuto` (deeplab-pytorch): Caffe's ResNet, whose last stage dilates by
1, 2 and 4 times its rate (multi-grid), no dropout, and what the pyramid gives first where maps are put together.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.deeplab_v3 import ASPP, MULTI_GRID, RATES
from models.multi_scale import multi_scale
from models.resnet import Backbone
from models.segmenter import conv_bn_relu, enlarged
from models.xception import Xception

Variant = Literal["yassouali", "kazuto"]


class Decoder(nn.Module):
    """Section 3.1: the pyramid's map and an early one of finer places -> logits at these, [B, num_classes, h, w].

    `channels` are those of both maps, the early one first.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        *,
        width: int,
        num_classes: int,
        rates: tuple[int, ...],
        dropouts: tuple[float, float],
        variant: Variant,
    ) -> None:
        super().__init__()
        self.yassouali = variant == "yassouali"
        early, last = channels
        reduced, fused = 3 * width // 4, 4 * width
        self.aspp = ASPP(last, fused, rates, dropouts[0])
        self.reduce = conv_bn_relu(early, reduced, 1)
        self.fuse = nn.Sequential(*conv_bn_relu(reduced + fused, fused, 3), *conv_bn_relu(fused, fused, 3))
        self.dropout = nn.Dropout(dropouts[1])
        self.head = nn.Conv2d(fused, num_classes, 1)

    def forward(self, early: Tensor, last: Tensor) -> Tensor:
        """[B, early, h, w], [B, last, ...] -> [B, num_classes, h, w]."""
        early = self.reduce(early)
        seen = enlarged(self.aspp(last), early, align_corners=self.yassouali)
        together = [early, seen] if self.yassouali else [seen, early]
        return self.head(self.dropout(self.fuse(torch.cat(together, 1))))


class DeepLabV3Plus(nn.Module):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W], of any size.

    With `msc` of several scales, see `multi_scale`. The mean of a map is one value a channel, whose batch norm needs
    two samples or more in training.
    """

    margin_px = 0

    def __init__(
        self,
        depth: int | None,
        *,
        num_classes: int,
        width: int,
        output_stride: Literal[8, 16],
        variant: Variant,
        dropout: float,
        msc: bool,
        **backbone: Any,
    ) -> None:
        super().__init__()
        self.msc = msc
        self.align_corners = variant == "yassouali"
        self.backbone: Backbone | Xception
        if depth is None:
            self.backbone = Xception(width=width, output_stride=output_stride, **backbone)
        else:
            caffe = variant == "kazuto"
            self.backbone = Backbone(
                depth,
                width=width,
                stem="imagenet",
                output_stride=output_stride,
                first_dilates=True,
                multi_grid=MULTI_GRID if caffe else (),
                caffe=caffe,
                **backbone,
            )
        self.classifier = Decoder(
            (self.backbone.channels[0], self.backbone.channels[-1]),
            width=width,
            num_classes=num_classes,
            rates=RATES[output_stride],
            dropouts=(dropout, dropout / 5) if variant == "yassouali" else (0.0, 0.0),
            variant=variant,
        )

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Float [B, in_channels, H, W] -> logits [B, num_classes, H, W]; four in training with `msc`."""
        return multi_scale(self._logits, x, self.training) if self.msc else self._logits(x)

    def _logits(self, x: Tensor) -> Tensor:
        early, *_, last = self.backbone.maps(x)
        return enlarged(self.classifier(early, last), x, self.align_corners)
