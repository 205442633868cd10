"""BN-Inception (Ioffe & Szegedy 2015, "Batch normalization: accelerating deep network training by reducing internal
covariate shift", appendix): Inception-v1 with a batch norm behind each convolution.

Names of parameters are those of the release for TSN, whose convolutions have biases beside their norms, and whose last
unit pools by the maximum. Its weights are of BGR pixels of 0 to 255 less (104, 117, 128).
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.base.errors import ZoetropeError

SMALLEST_PX = 7
"""The side of pictures of which the second pool gets two places."""


class Unit(NamedTuple):
    """Channels, in 64ths of the width, of the four branches: 1x1; 3x3 reduced and full; double 3x3 reduced and full;
    behind the pool. One without the first and last halves the sides, and passes on what it pools.
    """

    one: int
    reduce: int
    out: int
    double_reduce: int
    double_out: int
    pooled: int

    @property
    def halves(self) -> bool:
        """Whether it makes the map smaller."""
        return not self.one

    def scaled(self, width: int) -> "Unit":
        """Return its channels where the first convolution has `width` and not 64; what is there keeps a channel."""
        return Unit(*(max(channels > 0, channels * width // 64) for channels in self))


UNITS = {
    "inception_3a": Unit(64, 64, 64, 64, 96, 32),
    "inception_3b": Unit(64, 64, 96, 64, 96, 64),
    "inception_3c": Unit(0, 128, 160, 64, 96, 0),
    "inception_4a": Unit(224, 64, 96, 96, 128, 128),
    "inception_4b": Unit(192, 96, 128, 96, 128, 128),
    "inception_4c": Unit(160, 128, 160, 128, 160, 128),
    "inception_4d": Unit(96, 128, 192, 160, 192, 128),
    "inception_4e": Unit(0, 128, 192, 192, 256, 0),
    "inception_5a": Unit(352, 192, 320, 160, 224, 128),
    "inception_5b": Unit(352, 192, 320, 192, 224, 128),
}
BY_MAXIMUM = ("inception_5b",)
"""Units whose last branch pools by the maximum and not by the mean."""


class Normed(nn.Module):
    """Convolutions with a batch norm and a ReLU behind each, by the names of the release; a part of BN-Inception."""

    def add(self, name: str, before: int, after: int, size: int, stride: int = 1) -> None:
        """Add a convolution that keeps the size, or divides it by the stride."""
        self.add_module(name, nn.Conv2d(before, after, size, stride, size // 2))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(after))

    def add_stem(self, in_channels: int, width: int) -> int:
        """Add what is in front of the units; returns the channels that it gives."""
        after = max(1, 192 * width // 64)
        self.add("conv1_7x7_s2", in_channels, width, 7, 2)
        self.add("conv2_3x3_reduce", width, width, 1)
        self.add("conv2_3x3", width, after, 3)
        return after

    def add_unit(self, name: str, before: int, width: int) -> int:
        """Add a unit; returns the channels that it gives."""
        unit = UNITS[name].scaled(width)
        stride = 2 if unit.halves else 1
        if unit.one:
            self.add(f"{name}_1x1", before, unit.one, 1)
        self.add(f"{name}_3x3_reduce", before, unit.reduce, 1)
        self.add(f"{name}_3x3", unit.reduce, unit.out, 3, stride)
        self.add(f"{name}_double_3x3_reduce", before, unit.double_reduce, 1)
        self.add(f"{name}_double_3x3_1", unit.double_reduce, unit.double_out, 3)
        self.add(f"{name}_double_3x3_2", unit.double_out, unit.double_out, 3, stride)
        if unit.pooled:
            self.add(f"{name}_pool_proj", before, unit.pooled, 1)
        return unit.one + unit.out + unit.double_out + (unit.pooled or before)

    def convolved(self, name: str, x: Tensor) -> Tensor:
        """Run a convolution, its norm and a ReLU."""
        return self.normed(f"{name}_bn", self.get_submodule(name)(x))

    def normed(self, name: str, x: Tensor) -> Tensor:
        """Run a norm and a ReLU."""
        return functional.relu(self.get_submodule(name)(x), inplace=True)

    def stem(self, x: Tensor) -> Tensor:
        """Map float [N, in_channels, H, W] -> [N, 3 * width, H/8, W/8]."""
        x = smaller(self.convolved("conv1_7x7_s2", x))
        return smaller(self.convolved("conv2_3x3", self.convolved("conv2_3x3_reduce", x)))

    def unit(self, name: str, x: Tensor) -> Tensor:
        """Run a unit: its branches beside each other."""
        three = self.convolved(f"{name}_3x3", self.convolved(f"{name}_3x3_reduce", x))
        double = self.convolved(f"{name}_double_3x3_1", self.convolved(f"{name}_double_3x3_reduce", x))
        double = self.convolved(f"{name}_double_3x3_2", double)
        if UNITS[name].halves:
            # Of an odd side the convolutions give one place more than a pool without padding.
            padding = [px % 2 for px in x.shape[2:]]
            return torch.cat([three, double, functional.max_pool2d(x, 3, 2, padding, ceil_mode=True)], 1)
        pooled = functional.max_pool2d(x, 3, 1, 1) if name in BY_MAXIMUM else functional.avg_pool2d(x, 3, 1, 1)
        one = self.convolved(f"{name}_1x1", x)
        return torch.cat([one, three, double, self.convolved(f"{name}_pool_proj", pooled)], 1)


class BNInception(Normed):
    """The trunk of a classifier: float [N, in_channels, H, W] -> [N, 16 * width], averaged over the last map.

    With `bgr` the first convolution gets the channels of RGB in the order of the release's weights.
    """

    recomputes = False

    def __init__(self, *, width: int, in_channels: int, bgr: bool) -> None:
        super().__init__()
        self.in_channels, self.bgr = in_channels, bgr
        channels = self.add_stem(in_channels, width)
        for name in UNITS:
            channels = self.add_unit(name, channels, width)
        self.num_features = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # there is one

    @property
    def stages(self) -> Any:
        """One stage: the units, each a function of a map to the next, which a video network walks through."""
        return (tuple(partial(self.unit, name) for name in UNITS),)

    def stem(self, x: Tensor) -> Tensor:
        """See `Normed.stem`; of pictures in RGB. ZoetropeError for those of too few pixels."""
        if min(x.shape[2:]) < SMALLEST_PX:
            raise ZoetropeError(
                f"BN-Inception takes pictures of at least {SMALLEST_PX} x {SMALLEST_PX} px, got the shape "
                f"{tuple(x.shape)}"
            )
        return super().stem(x.flip(1) if self.bgr else x)

    def pooled(self, x: Tensor) -> Tensor:
        """Average over the map: [N, C, h, w] -> [N, C]."""
        return x.mean((2, 3))


def smaller(x: Tensor) -> Tensor:
    """Pool by the maximum, over 3 x 3 places with stride 2."""
    return functional.max_pool2d(x, 3, 2, ceil_mode=True)
