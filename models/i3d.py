"""I3D (Carreira & Zisserman 2017, "Quo vadis, action recognition?"): Inception-v1 with a third axis in every kernel.

Names of parameters are those of pytorch-i3d. Padding is TensorFlow's "SAME", which follows from the size of the map: a
map of n places gives ceil(n / stride), and where the padding is odd its larger half stands behind. As in the release,
the larger kernels of a unit are of 3 places, not of 5.
"""

from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.inception import UNITS, Unit, gives, scaled
from models.volume import Triple, check_clip, window_means

_norm = partial(nn.BatchNorm3d, eps=1e-3, momentum=1e-2)


def pad_same(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Pad [B, C, T, H, W] with zeros as "SAME" does. Max pools may take it, too: what they get here is not negative."""
    pads: list[int] = []
    for size, length, step in zip(x.shape[2:], kernel, stride, strict=True):
        both = max((-(-size // step) - 1) * step + length - size, 0)
        pads = [both // 2, both - both // 2, *pads]
    return functional.pad(x, pads)


class Convolution(nn.Module):
    """A convolution with "SAME" padding, a norm and ReLU: [B, in_channels, T, H, W] -> [B, channels, ceil(T/s), ..]."""

    def __init__(self, in_channels: int, channels: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (size, size, size), (stride, stride, stride)
        self.conv3d = nn.Conv3d(in_channels, channels, size, stride, size // 2 if stride == 1 else 0, bias=False)
        self.bn = _norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, T, H, W] -> [B, channels, ceil(T/stride), ceil(H/stride), ceil(W/stride)]."""
        if self.stride != (1, 1, 1):
            x = pad_same(x, self.kernel, self.stride)
        return functional.relu(self.bn(self.conv3d(x)), inplace=True)


class Pool(nn.Module):
    """Max pooling with "SAME" padding: [B, C, T, H, W] -> [B, C, ceil(T/s), ceil(H/s), ceil(W/s)] of each stride s."""

    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, T, H, W] -> [B, C, ceil(T/s), ceil(H/s), ceil(W/s)] of each axis' stride s."""
        return functional.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Four branches beside each other: [B, C, T, H, W] -> [B, gives(unit), T, H, W]."""

    def __init__(self, in_channels: int, unit: Unit) -> None:
        super().__init__()
        one, reduce3, out3, reduce5, out5, pooled = unit
        self.b0 = Convolution(in_channels, one, 1)
        self.b1a = Convolution(in_channels, reduce3, 1)
        self.b1b = Convolution(reduce3, out3, 3)
        self.b2a = Convolution(in_channels, reduce5, 1)
        self.b2b = Convolution(reduce5, out5, 3)
        self.b3a = nn.MaxPool3d(3, 1, 1)
        self.b3b = Convolution(in_channels, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, T, H, W] -> [B, gives(unit), T, H, W]."""
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], 1)


class I3D(nn.Module):
    """A video classifier: float [B, in_channels, T, H, W] -> logits [B, num_classes]; T, H and W are free."""

    def __init__(self, *, num_classes: int, width: int, in_channels: int, dropout: float) -> None:
        super().__init__()
        self.in_channels = in_channels
        layers: dict[str, nn.Module] = {
            "Conv3d_1a_7x7": Convolution(in_channels, width, 7, 2),
            "MaxPool3d_2a_3x3": Pool((1, 3, 3), (1, 2, 2)),
            "Conv3d_2b_1x1": Convolution(width, width, 1),
            "Conv3d_2c_3x3": Convolution(width, 3 * width, 3),
        }
        channels = 3 * width
        pools = (
            ("MaxPool3d_3a_3x3", Pool((1, 3, 3), (1, 2, 2))),
            ("MaxPool3d_4a_3x3", Pool((3, 3, 3), (2, 2, 2))),
            ("MaxPool3d_5a_2x2", Pool((2, 2, 2), (2, 2, 2))),
        )
        for stage, ((name, pool), units) in enumerate(zip(pools, UNITS, strict=True), start=3):
            layers[name] = pool
            for letter, unit in zip("bcdef", units, strict=False):
                layers[f"Mixed_{stage}{letter}"] = Mixed(channels, scaled(unit, width))
                channels = gives(scaled(unit, width))
        self.layers = tuple(layers)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Sequential(OrderedDict(conv3d=nn.Conv3d(channels, num_classes, 1)))

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> [B, 16 * width], the mean of the windows of 2 x 7 x 7 places."""
        check_clip(self, x, self.in_channels)
        for name in self.layers:
            x = self.get_submodule(name)(x)
        return window_means(x, (2, 7, 7)).mean((2, 3, 4))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> logits [B, num_classes].

        The mean is taken before the head, which is linear; the release gives the logits of each time.
        """
        return self.logits(self.dropout(self.features(x))[:, :, None, None, None]).flatten(1)
