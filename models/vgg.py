"""VGG-16's convolutions (Simonyan & Zisserman 2015, "Very deep convolutional networks", table 1, configuration D)."""

from torch import Tensor, nn

# Channels of the convolutions of each stage, in widths; a 2x2 max pooling is behind each stage.
STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))


class VGG16Trunk(nn.Sequential):
    """Thirteen 3x3 convolutions in five stages: float [B, in_channels, H, W] -> [B, 8 * width, H/32, W/32].

    Numbers of layers are those of torchvision's `features`. Pools round up, as Caffe's do, so that no pixel is left
    out. `padding` is the first convolution's: FCN has 100.
    """

    def __init__(self, *, in_channels: int, width: int, padding: int = 1) -> None:
        layers: list[nn.Module] = []
        self.channels = [width * stage[-1] for stage in STAGES]
        for stage in STAGES:
            for widths in stage:
                layers += [nn.Conv2d(in_channels, width * widths, 3, padding=1 if layers else padding), nn.ReLU(True)]
                in_channels = width * widths
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        super().__init__(*layers)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # there is one

    def maps(self, x: Tensor) -> list[Tensor]:
        """Float [B, in_channels, H, W] -> what the five pools give, [B, channels[i], H/2, W/2] to [.., H/32, W/32]."""
        maps = []
        for layer in self:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
        return maps
