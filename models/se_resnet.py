"""SE-ResNet (Hu et al. 2018, "Squeeze-and-excitation networks"), as the authors trained it, with its port's names.

It is Caffe's ResNet: bottlenecks stride in their first convolution, and the max pool has no border and rounds up. The
layers of the excitation have biases. Ports on torchvision's ResNet without these are other networks.
"""

from typing import Any

from torch import Tensor, nn

from models.resnet import Bottleneck, ResNet

REDUCTION = 16
"""By how much the excitation is narrower in its middle; the paper's, section 6.2."""


class SqueezeExcitation(nn.Module):
    """Scales every channel by what the means of all of them say: [B, C, H, W] -> [B, C, H, W] (eq. 2 to 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // REDUCTION, 1)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(channels // REDUCTION, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] -> [B, C, H, W]."""
        return x * self.fc2(self.relu(self.fc1(x.mean((2, 3), keepdim=True)))).sigmoid()


class SEBottleneck(Bottleneck):
    """A bottleneck whose branch is excited before the shortcut is added (figure 3)."""

    def __init__(self, in_channels: int, channels: int, *shape: Any, **options: Any) -> None:
        super().__init__(in_channels, channels, *shape, **options)
        self.se_module = SqueezeExcitation(channels * self.expansion)

    def branch(self, y: Tensor) -> Tensor:
        """See `Bottleneck.branch`."""
        return self.se_module(super().branch(y))


class SEResNet(ResNet):
    """An image classifier: float [B, in_channels, H, W] -> logits [B, num_classes], in training perhaps a pair."""

    bottleneck = SEBottleneck

    def __init__(self, depth: int, **options: Any) -> None:
        super().__init__(depth, caffe=True, **options)
        if isinstance(self.maxpool, nn.MaxPool2d):
            self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
