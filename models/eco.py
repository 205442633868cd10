"""ECO-Lite (Zolfaghari et al. 2018, "ECO: efficient convolutional network for online video understanding", section 3).

The first layers of BN-Inception on every frame, then the last ones of a 3D ResNet-18 on all of them: names of
parameters are those of ECO-pytorch. Its weights are of BGR pixels of 0 to 255 less (104, 117, 128).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.volume import check_clip
from pipeline.base.errors import ZoetropeError

SMALLEST_PX = 7
"""The side of frames of which the second pool gets two places."""
# Of the two whole units of BN-Inception (Ioffe & Szegedy 2015): 1x1; 3x3 reduced and full; double 3x3 reduced and
# full; behind the pool. All in 64ths of the width.
UNITS = {"inception_3a": (64, 64, 64, 64, 96, 32), "inception_3b": (64, 64, 96, 64, 96, 64)}


class ECOLite(nn.Module):
    """A video classifier: float [B, in_channels, T, H, W] -> logits [B, num_classes]; T, H and W are free."""

    def __init__(self, *, num_classes: int, width: int, in_channels: int, dropout: float) -> None:
        super().__init__()
        self.in_channels = in_channels

        def scaled(channels: int) -> int:
            return max(1, channels * width // 64)

        def add(name: str, before: int, after: int, size: int, stride: int = 1) -> None:
            self.add_module(name, nn.Conv2d(before, after, size, stride, size // 2))
            self.add_module(f"{name}_bn", nn.BatchNorm2d(after))

        add("conv1_7x7_s2", in_channels, width, 7, 2)
        add("conv2_3x3_reduce", width, width, 1)
        add("conv2_3x3", width, scaled(192), 3)
        before = scaled(192)
        for unit, channels in UNITS.items():
            one, reduce3, out3, reduce33, out33, pooled = map(scaled, channels)
            add(f"{unit}_1x1", before, one, 1)
            add(f"{unit}_3x3_reduce", before, reduce3, 1)
            add(f"{unit}_3x3", reduce3, out3, 3)
            add(f"{unit}_double_3x3_reduce", before, reduce33, 1)
            add(f"{unit}_double_3x3_1", reduce33, out33, 3)
            add(f"{unit}_double_3x3_2", out33, out33, 3)
            add(f"{unit}_pool_proj", before, pooled, 1)
            before = one + out3 + out33 + pooled
        add("inception_3c_double_3x3_reduce", before, width, 1)
        add("inception_3c_double_3x3_1", width, scaled(96), 3)
        self._add_volumes(scaled(96), width)
        self.dropout = nn.Dropout(dropout)
        self.fc_final = nn.Linear(8 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # there is one
        nn.init.xavier_normal_(self.fc_final.weight)
        nn.init.zeros_(self.fc_final.bias)

    def _add_volumes(self, before: int, width: int) -> None:
        """Add convolutions and norms of the three stages; sums are normalised behind, so norms are called as those."""

        def convolution(name: str, before: int, after: int, stride: int = 1) -> None:
            self.add_module(name, nn.Conv3d(before, after, 3, stride, 1))

        def norm(name: str, channels: int) -> None:
            self.add_module(name, nn.BatchNorm3d(channels))

        for stage, channels in ((3, 2 * width), (4, 4 * width), (5, 8 * width)):
            if stage == 3:
                convolution("res3a_2", before, channels)
            else:
                convolution(f"res{stage}a_1", before, channels, 2)
                norm(f"res{stage}a_1_bn", channels)
                convolution(f"res{stage}a_2", channels, channels)
                convolution(f"res{stage}a_down", before, channels, 2)
            norm(f"res{stage}a_bn", channels)
            convolution(f"res{stage}b_1", channels, channels)
            norm(f"res{stage}b_1_bn", channels)
            convolution(f"res{stage}b_2", channels, channels)
            norm(f"res{stage}b_bn", channels)
            before = channels

    def _convolved(self, name: str, x: Tensor) -> Tensor:
        return self._normed(f"{name}_bn", self.get_submodule(name)(x))

    def _normed(self, name: str, x: Tensor) -> Tensor:
        return functional.relu(self.get_submodule(name)(x), inplace=True)

    def frame_maps(self, frames: Tensor) -> Tensor:
        """Map float [N, in_channels, H, W] -> [N, 96 / 64 * width, H/8, W/8], of each frame alone."""
        x = _pooled(self._convolved("conv1_7x7_s2", frames))
        x = _pooled(self._convolved("conv2_3x3", self._convolved("conv2_3x3_reduce", x)))
        for unit in UNITS:
            three = self._convolved(f"{unit}_3x3", self._convolved(f"{unit}_3x3_reduce", x))
            double = self._convolved(f"{unit}_double_3x3_1", self._convolved(f"{unit}_double_3x3_reduce", x))
            double = self._convolved(f"{unit}_double_3x3_2", double)
            pooled = self._convolved(f"{unit}_pool_proj", functional.avg_pool2d(x, 3, 1, 1))
            x = torch.cat([self._convolved(f"{unit}_1x1", x), three, double, pooled], 1)
        return self._convolved("inception_3c_double_3x3_1", self._convolved("inception_3c_double_3x3_reduce", x))

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> [B, 8 * width], averaged over the last map.

        ZoetropeError when `x` is no clip, or of too few pixels.
        """
        check_clip(self, x, self.in_channels)
        if min(x.shape[3:]) < SMALLEST_PX:
            raise ZoetropeError(
                f"ECOLite takes clips of at least {SMALLEST_PX} x {SMALLEST_PX} px, got the shape {tuple(x.shape)}"
            )
        maps = self.frame_maps(x.transpose(1, 2).flatten(0, 1))
        raw = self.get_submodule("res3a_2")(maps.unflatten(0, (-1, x.shape[2])).transpose(1, 2))
        for stage in (3, 4, 5):
            if stage > 3:
                active = self._normed(f"res{stage - 1}b_bn", raw)
                first = self._convolved(f"res{stage}a_1", active)
                shortcut = self.get_submodule(f"res{stage}a_down")(active)
                raw = self.get_submodule(f"res{stage}a_2")(first) + shortcut
            second = self._convolved(f"res{stage}b_1", self._normed(f"res{stage}a_bn", raw))
            raw = raw + self.get_submodule(f"res{stage}b_2")(second)
        return self._normed("res5b_bn", raw).mean((2, 3, 4))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> logits [B, num_classes]."""
        return self.fc_final(self.dropout(self.features(x)))


def _pooled(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 3, 2, ceil_mode=True)
