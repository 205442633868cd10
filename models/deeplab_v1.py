"""DeepLab v1 (Chen et al. 2015, "Semantic image segmentation with deep convolutional nets and fully connected CRFs").

VGG-16 whose last pools do not stride and whose layers behind them dilate, so that places are 8 px apart; the linear
layer fc6 is a convolution of few, far places. The CRF of the paper is `evaluate.crf`.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from models.segmenter import enlarged
from models.vgg import STAGES

FIELDS = {"large": (3, 12, 16), "4x4": (4, 8, 64), "7x7": (7, 4, 64)}
"""Of fc6: the kernel's side, its rate, and channels in widths (table 2); padding is 12 px for all."""
BRANCH_STRIDES = (8, 4, 2, 1, 1)
"""Of the branches on the picture and on the first four pools."""


class DeepLabV1(nn.Module):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W], of any size.

    With `branches`, the last layer also sees the picture and the first four pools, each through two convolutions
    (section 4.3, "multi-scale prediction"). Of sides of 8 n + 1 px (321 px, 41 places) a place lies on every eighth
    pixel; of other sizes the corners of both still meet.
    """

    margin_px = 0

    def __init__(
        self,
        *,
        num_classes: int,
        width: int,
        in_channels: int,
        field: Literal["large", "4x4", "7x7"],
        branches: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        kernel, rate, widths = FIELDS[field]
        channels = [in_channels, *(width * stage[-1] for stage in STAGES)]
        layers: list[nn.Module] = []
        for number, stage in enumerate(STAGES, 1):
            before = channels[number - 1]
            far = 2 if number == 5 else 1
            for _ in stage:
                layers += [nn.Conv2d(before, channels[number], 3, padding=far, dilation=far), nn.ReLU(True)]
                before = channels[number]
            layers.append(nn.MaxPool2d(3, 2 if number < 4 else 1, 1, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        self.pool5a = nn.AvgPool2d(3, 1, 1) if field == "large" else nn.Identity()
        self.fc6 = nn.Conv2d(channels[5], widths * width, kernel, padding=12, dilation=rate)
        self.fc7 = nn.Conv2d(widths * width, widths * width, 1)
        self.dropout = nn.Dropout(dropout)
        branched = zip(channels, BRANCH_STRIDES, strict=False) if branches else ()
        self.branches = nn.ModuleList([_branch(seen, 2 * width, stride, dropout) for seen, stride in branched])
        self.fc8 = nn.Conv2d(widths * width + 2 * width * len(self.branches), num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # there is one
        nn.init.normal_(self.fc8.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Float [B, in_channels, H, W] -> logits [B, num_classes, H, W]."""
        seen, y = [x], x  # what branches see: the picture, and what each pool gives
        for layer in self.features:
            y = layer(y)
            if isinstance(layer, nn.MaxPool2d):
                seen.append(y)
        y = self.dropout(self.fc6(self.pool5a(y)).relu())
        y = self.dropout(self.fc7(y).relu())
        found = [branch(one) for branch, one in zip(self.branches, seen, strict=False)]
        y = torch.cat([y, *(enlarged(one, y, align_corners=True) for one in found)], 1)
        return enlarged(self.fc8(y), x, align_corners=True)


def _branch(in_channels: int, channels: int, stride: int, dropout: float) -> nn.Sequential:
    first, second = nn.Conv2d(in_channels, channels, 3, stride, 1), nn.Conv2d(channels, channels, 1)
    return nn.Sequential(first, nn.ReLU(True), nn.Dropout(dropout), second, nn.ReLU(True), nn.Dropout(dropout))
