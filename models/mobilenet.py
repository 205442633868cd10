"""MobileNetV2 (Sandler et al. 2018, "MobileNetV2: inverted residuals and linear bottlenecks").

Two releases name the same parameters in two ways: torchvision nests each convolution with its batch norm
(`conv.0.0.weight`), the release of TSM does not (`conv.0.weight`). `nested` says which.
"""

from typing import Any

from torch import Tensor, nn

# Table 2 of the paper: expansion, channels, blocks, stride of the first block.
LAYOUT = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

LAST_OF_SIZE = (3, 6, 13, 18)
"""Layers of `features` behind which the map is halved, or nothing comes."""


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depth-wise, 1x1 projection: [B, in_channels, H, W] -> [B, channels, H/stride, W/stride]."""

    def __init__(self, in_channels: int, channels: int, stride: int, expansion: int, nested: bool) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expands = expansion != 1
        self.has_identity = stride == 1 and in_channels == channels
        groups = [conv_bn_relu(in_channels, hidden, 1)] if self.expands else []
        groups.append(conv_bn_relu(hidden, hidden, 3, stride, groups=hidden))
        layers: list[nn.Module] = []
        for group in groups:
            layers += [nn.Sequential(*group)] if nested else group
        self.conv = nn.Sequential(*layers, nn.Conv2d(hidden, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] -> [B, channels, H/stride, W/stride]."""
        return self.after_first(x, self.conv[0](x))

    def after_first(self, x: Tensor, y: Tensor) -> Tensor:
        """Run the rest of the block, from its input `x` and `y`, the output of `conv[0]`:
        TSM gives that another input.
        """
        for i in range(1, len(self.conv)):
            y = self.conv[i](y)
        return x + y if self.has_identity else y


class Features(nn.Sequential):
    """Stem, 17 blocks, the last 1x1 convolution and the average: torchvision's name, and what `features` means here."""

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> [B, num_features]."""
        return super().forward(x).mean((2, 3))


class MobileNetV2Backbone(nn.Module):
    """MobileNetV2 without its head: float [B, in_channels, H, W] -> pooled features [B, num_features]."""

    def __init__(self, *, width_mult: float, in_channels: int, nested: bool) -> None:
        super().__init__()
        self.in_channels = in_channels
        channels = rounded_channels(32 * width_mult)
        features: list[nn.Module] = [nn.Sequential(*conv_bn_relu(in_channels, channels, 3, 2))]
        for expansion, base, depth, first_stride in LAYOUT:
            for i in range(depth):
                out_channels = rounded_channels(base * width_mult)
                stride = first_stride if i == 0 else 1
                features.append(InvertedResidual(channels, out_channels, stride, expansion, nested))
                channels = out_channels
        self.num_features = rounded_channels(1280 * max(1.0, width_mult))
        features.append(nn.Sequential(*conv_bn_relu(channels, self.num_features, 1)))
        self.features = Features(*features)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    @property
    def stages(self) -> tuple[list[nn.Module]]:
        """All 17 blocks as one stage."""
        return (list(self.features)[1:-1],)

    def stem(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> [B, 32 * width_mult, H/2, W/2]."""
        return self.features[0](x)

    def pooled(self, x: Tensor) -> Tensor:
        """Pool what the last stage gave -> [B, num_features]."""
        return self.features[-1](x).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> [B, num_features]."""
        return self.features(x)


class MobileNetV2Maps(nn.Module):
    """MobileNetV2 for dense tasks: the maps of strides 4, 8, 16 and 32, each the last of its size.

    The last one is that of the 1x1 convolution behind all blocks.
    """

    def __init__(self, *, width_mult: float, in_channels: int) -> None:
        super().__init__()
        blocks: Any = MobileNetV2Backbone(width_mult=width_mult, in_channels=in_channels, nested=True).features
        self.features = nn.Sequential(*blocks)
        *others, last = (blocks[number] for number in LAST_OF_SIZE)
        self.channels = [block.conv[-1].num_features for block in others] + [last[0].out_channels]

    def maps(self, x: Tensor) -> list[Tensor]:
        """Map float [B, in_channels, H, W] -> [B, channels[i], H/strides[i], W/strides[i]]."""
        maps = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in LAST_OF_SIZE:
                maps.append(x)
        return maps


class MobileNetV2(MobileNetV2Backbone):
    """An image classifier with torchvision's names: float [B, in_channels, H, W] -> logits [B, num_classes]."""

    def __init__(self, *, num_classes: int, width_mult: float, in_channels: int, dropout: float) -> None:
        super().__init__(width_mult=width_mult, in_channels=in_channels, nested=True)
        head = nn.Linear(self.num_features, num_classes)
        self.classifier = nn.Sequential(nn.Dropout(dropout), head)
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> logits [B, num_classes]."""
        return self.classifier(self.features(x))


def conv_bn_relu(in_channels: int, channels: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Build a convolution that keeps the size but for its stride, a batch norm and ReLU6."""
    padding = (kernel - 1) // 2
    conv = nn.Conv2d(in_channels, channels, kernel, stride, padding, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(channels), nn.ReLU6(inplace=True)]


def rounded_channels(channels: float) -> int:
    """Round to the nearest multiple of 8, at least 8 and not less than 90 % of what was asked
    for, as the authors have it.
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
