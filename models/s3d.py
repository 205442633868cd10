"""S3D (Xie et al. 2018, "Rethinking spatiotemporal feature learning"): Inception-v1 whose convolutions are of space,
then of time. Layers have torchvision's numbers; its `features` is `trunk` here.
"""

from functools import partial

import torch
from torch import Tensor, nn

from models.inception import UNITS, Unit, gives, scaled
from models.volume import MaxPool, check_clip, window_means

_norm = partial(nn.BatchNorm3d, eps=1e-3, momentum=1e-3)


class SeparableUnit(nn.Module):
    """Four branches beside each other: [B, C, T, H, W] -> [B, gives(unit), T, H, W]."""

    def __init__(self, in_channels: int, unit: Unit) -> None:
        super().__init__()
        one, reduce3, out3, reduce5, out5, pooled = unit
        self.branch0 = _convolution(in_channels, one)
        self.branch1 = nn.Sequential(_convolution(in_channels, reduce3), _separable(reduce3, out3, 3))
        self.branch2 = nn.Sequential(_convolution(in_channels, reduce5), _separable(reduce5, out5, 3))
        self.branch3 = nn.Sequential(MaxPool((3, 3, 3), (1, 1, 1), (1, 1, 1)), _convolution(in_channels, pooled))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, T, H, W] -> [B, gives(unit), T, H, W]."""
        return torch.cat([branch(x) for branch in self.children()], 1)


class S3D(nn.Module):
    """A video classifier: float [B, in_channels, T, H, W] -> logits [B, num_classes]; T, H and W are free."""

    def __init__(self, *, num_classes: int, width: int, in_channels: int, dropout: float) -> None:
        super().__init__()
        self.in_channels = in_channels
        layers: list[nn.Module] = [
            _separable(in_channels, width, 7, 2),
            MaxPool((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            _convolution(width, width),
            _separable(width, 3 * width, 3),
            MaxPool((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        ]
        channels = 3 * width
        between = (None, MaxPool((3, 3, 3), (2, 2, 2), (1, 1, 1)), MaxPool((2, 2, 2), (2, 2, 2)))
        for pool, units in zip(between, UNITS, strict=True):
            layers += [pool] if pool else []
            for unit in units:
                layers.append(SeparableUnit(channels, scaled(unit, width)))
                channels = gives(scaled(unit, width))
        self.trunk = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Conv3d(channels, num_classes, 1))

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> [B, 16 * width], the mean of the windows of 2 x 7 x 7 places."""
        check_clip(self, x, self.in_channels)
        return window_means(self.trunk(x), (2, 7, 7)).mean((2, 3, 4))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> logits [B, num_classes].

        The mean is taken before the head, which is linear; the release takes it behind.
        """
        return self.classifier(self.features(x)[:, :, None, None, None]).flatten(1)


def _convolution(
    in_channels: int, channels: int, kernel: tuple[int, int, int] = (1, 1, 1), stride: tuple[int, int, int] = (1, 1, 1)
) -> nn.Sequential:
    depth, height, width = kernel
    padding = (depth // 2, height // 2, width // 2)
    conv = nn.Conv3d(in_channels, channels, kernel, stride, padding, bias=False)
    return nn.Sequential(conv, _norm(channels), nn.ReLU(True))


def _separable(in_channels: int, channels: int, size: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        _convolution(in_channels, channels, (1, size, size), (1, stride, stride)),
        _convolution(channels, channels, (size, 1, 1), (stride, 1, 1)),
    )
