"""VGG (Simonyan & Zisserman 2015, "Very deep convolutional networks", table 1)."""

from collections.abc import Sequence

from torch import Tensor, nn

# Channels of the convolutions of each stage, in widths; a 2x2 max pooling is behind each stage. Of VGG-16:
STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
# Of each depth, how many convolutions its stages have (configurations A, B, D and E).
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def convolutions(
    stages: Sequence[Sequence[int]],
    *,
    in_channels: int,
    width: int,
    batch_norm: bool = False,
    padding: int = 1,
    rounds_up: bool = True,
) -> nn.Sequential:
    """Build 3x3 convolutions of `stages`, channels in widths, with the numbers of layers of torchvision's `features`.

    Float [B, in_channels, H, W] -> [B, C, H/32, W/32], C that of the last one. Pools round up, as Caffe's do, so that
    no pixel is left out, or down as torchvision's. `padding` is the first convolution's: FCN has 100.
    """
    layers: list[nn.Module] = []
    for stage in stages:
        for widths in stage:
            conv = nn.Conv2d(in_channels, width * widths, 3, padding=1 if layers else padding)
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # there is one
            in_channels = width * widths
            layers += [conv, *([nn.BatchNorm2d(in_channels)] if batch_norm else []), nn.ReLU(True)]
        layers.append(nn.MaxPool2d(2, ceil_mode=rounds_up))
    return nn.Sequential(*layers)


class VGG16Trunk(nn.Sequential):
    """Thirteen 3x3 convolutions in five stages: float [B, in_channels, H, W] -> [B, 8 * width, H/32, W/32]."""

    def __init__(self, *, in_channels: int, width: int, padding: int = 1) -> None:
        super().__init__(*convolutions(STAGES, in_channels=in_channels, width=width, padding=padding))
        self.channels = [width * stage[-1] for stage in STAGES]

    def maps(self, x: Tensor) -> list[Tensor]:
        """Float [B, in_channels, H, W] -> what the five pools give, [B, channels[i], H/2, W/2] to [.., H/32, W/32]."""
        maps = []
        for layer in self:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
        return maps


class VGG(nn.Module):
    """An image classifier: float [B, in_channels, H, W], sides of 32 px or more -> logits [B, num_classes].

    Layers have torchvision's numbers; its `features` is `trunk` here.
    """

    def __init__(
        self, depth: int, *, num_classes: int, width: int, in_channels: int, batch_norm: bool, dropout: float
    ) -> None:
        super().__init__()
        stages = [[stage[0]] * count for stage, count in zip(STAGES, DEPTHS[depth], strict=True)]
        self.trunk = convolutions(stages, in_channels=in_channels, width=width, batch_norm=batch_norm, rounds_up=False)
        self.pool = nn.AdaptiveAvgPool2d(7)
        self.num_features = 64 * width
        self.classifier = nn.Sequential(
            *(nn.Linear(49 * 8 * width, self.num_features), nn.ReLU(True), nn.Dropout(dropout)),
            *(nn.Linear(self.num_features, self.num_features), nn.ReLU(True), nn.Dropout(dropout)),
            nn.Linear(self.num_features, num_classes),
        )
        for layer in self.classifier:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> [B, num_features], what the last layer takes."""
        return self.classifier[:-1](self.pool(self.trunk(x)).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> logits [B, num_classes]."""
        return self.classifier[-1](self.features(x))
