"""FCN on a dilated ResNet, as torchvision has it (after Shelhamer, Long & Darrell 2017): no scores of earlier stages.

Names of parameters are torchvision's, so its weights load as they are.
"""

from typing import Any

from torch import nn

from models.resnet import Backbone
from models.segmenter import Segmenter, conv_head


class FCNResNet(Segmenter):
    """Logits of every pixel, of places 8 px apart: float [B, in_channels, H, W] -> [B, num_classes, H, W], any size.

    With `auxiliary_head`, training gives two of these: the head's, and those of the head on the third stage.
    """

    def __init__(self, depth: int, *, num_classes: int, dropout: float, auxiliary_head: bool, **backbone: Any) -> None:
        trunk = Backbone(depth, output_stride=8, **backbone)
        heads = [
            conv_head(channels, channels // 4, num_classes, nn.Dropout(dropout))
            for channels in (trunk.channels[3], trunk.channels[2])
        ]
        super().__init__(trunk, heads[0], heads[1] if auxiliary_head else None)
