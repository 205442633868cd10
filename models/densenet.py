"""DenseNet (Huang et al. 2017, "Densely connected convolutional networks"), with torchvision's names of parameters.

DenseNet-BC: bottlenecks of four growths, and half the channels behind each block (section 3).
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from models.recompute import recomputed

# Layers of the four blocks (table 1).
DEPTHS = {121: (6, 12, 24, 16), 161: (6, 12, 36, 24), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}


class DenseLayer(nn.Module):
    """Norms in front of a 1x1 and a 3x3 convolution: [B, in_channels, H, W] -> [B, growth, H, W]."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(in_channels, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] -> [B, growth, H, W]."""
        y = self.conv1(self.relu(self.norm1(x)))
        return self.conv2(self.relu(self.norm2(y)))


class DenseBlock(nn.Module):
    """Layers that see the block's input and what all before them gave: [B, C, H, W] -> [B, C + layers * growth, H, W].

    The newest channels are the last.
    """

    def __init__(self, in_channels: int, layers: int, growth: int, gradient_checkpointing: bool) -> None:
        super().__init__()
        self.gradient_checkpointing = gradient_checkpointing
        for i in range(layers):
            self.add_module(f"denselayer{i + 1}", DenseLayer(in_channels + i * growth, growth))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] -> [B, C + layers * growth, H, W]."""
        parts = [x]

        def seen(layer: nn.Module, *parts: Tensor) -> Tensor:
            return layer(torch.cat(parts, 1))

        for layer in self.children():
            if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
                parts.append(recomputed(layer, seen, layer, *parts))
            else:
                parts.append(seen(layer, *parts))
        return torch.cat(parts, 1)


class DenseNet(nn.Module):
    """An image classifier: float [B, in_channels, H, W], sides of 29 px or more -> logits [B, num_classes].

    The first convolution gives `width` channels, a layer half of them. torchvision's `features` is `trunk` here.
    """

    def __init__(
        self, depth: int, *, num_classes: int, width: int, in_channels: int, gradient_checkpointing: bool
    ) -> None:
        super().__init__()
        growth = width // 2
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(width),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.MaxPool2d(3, stride=2, padding=1),
        )
        channels = width
        for i, count in enumerate(DEPTHS[depth], 1):
            layers[f"denseblock{i}"] = DenseBlock(channels, count, growth, gradient_checkpointing)
            channels += count * growth
            if i < 4:
                layers[f"transition{i}"] = _transition(channels)
                channels //= 2
        layers["norm5"] = nn.BatchNorm2d(channels)
        self.trunk = nn.Sequential(layers)
        self.num_features = channels
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(self.classifier.bias)

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> [B, num_features], what the head takes."""
        return self.trunk(x).relu().mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> logits [B, num_classes]."""
        return self.classifier(self.features(x))


def _transition(channels: int) -> nn.Sequential:
    """Make what stands between two blocks: [B, channels, H, W] -> [B, channels/2, H/2, W/2]."""
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels),
            relu=nn.ReLU(inplace=True),
            conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
            pool=nn.AvgPool2d(2, stride=2),
        )
    )
