"""SSD with light heads on MobileNetV2, for small machines (Sandler et al. 2018, "MobileNetV2", section 6.2)."""

from typing import Any, Literal

from torch import Tensor, nn

from models.mobilenet import InvertedResidual, MobileNetV2Backbone, conv_bn_relu, rounded_channels
from models.ops.priors import Priors
from models.ssd import SSD, draw

LEVELS = 6
# Blocks that halve the map; what the first layer of one gives is the last of the finer map, by its stride in px.
BEFORE_STRIDE = {8: 7, 16: 14}
EXTRAS = (512, 256, 256, 128)
"""Channels of the maps behind the network's own, each half as large, at `width_mult` 1."""


class SSDMobileNetV2(SSD):
    """SSD on MobileNetV2 with six maps, of inputs of any size; see `SSD`.

    The finest has a place every `stride` px: what the first layer of the block gives that halves the map. Each next is
    half as large. Priors' scales go evenly from the first to the second of `scales` (Liu et al. 2016, eq. 4); places
    share the picture out evenly.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        width_mult: float,
        in_channels: int,
        stride: Literal[8, 16],
        scales: tuple[float, float],
    ) -> None:
        low, high = scales
        even = [low + (high - low) * k / (LEVELS - 1) for k in range(LEVELS)]
        super().__init__(Priors((*even, 1.0), ((2, 3),) * LEVELS, (None,) * LEVELS, "sizes"), num_classes)
        self.tapped = [block for at, block in BEFORE_STRIDE.items() if at >= stride]
        self.finest = stride
        backbone = MobileNetV2Backbone(width_mult=width_mult, in_channels=in_channels, nested=True)
        blocks: Any = backbone.features
        self.features = nn.Sequential(*blocks)
        channels = [blocks[number].conv[0][0].out_channels for number in self.tapped] + [backbone.num_features]
        self.extras = nn.ModuleList()
        for wide in EXTRAS[: LEVELS - len(channels)]:
            wide = rounded_channels(wide * width_mult)
            narrow = wide // 2
            halves = [*conv_bn_relu(channels[-1], narrow, 1), *conv_bn_relu(narrow, narrow, 3, 2, groups=narrow)]
            self.extras.append(nn.Sequential(*halves, *conv_bn_relu(narrow, wide, 1)))
            channels.append(wide)
        shaped = list(zip(channels, self.priors.counts, strict=True))
        self.boxes = nn.ModuleList([_light(c, 4 * count) for c, count in shaped])
        self.scores = nn.ModuleList([_light(c, (num_classes + 1) * count) for c, count in shaped])
        draw([self.extras, self.boxes, self.scores])

    def maps(self, x: Tensor) -> list[Tensor]:
        """See `SSD.maps`."""
        maps = []
        for number, block in enumerate(self.features):
            if number in self.tapped and isinstance(block, InvertedResidual):
                wide = block.conv[0](x)
                maps.append(wide)
                x = block.after_first(x, wide)
            else:
                x = block(x)
        maps.append(x)
        for extra in self.extras:
            x = extra(x)
            maps.append(x)
        return maps

    def sides(self, px: int) -> list[int]:
        """See `SSD.sides`: strides round up."""
        return [-(-px // (self.finest << level)) for level in range(LEVELS)]


def _light(channels: int, numbers: int) -> nn.Sequential:
    """A 3x3 depth-wise convolution and a 1x1 one."""
    return nn.Sequential(*conv_bn_relu(channels, channels, 3, groups=channels), nn.Conv2d(channels, numbers, 1))
