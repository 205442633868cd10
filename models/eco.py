"""ECO-Lite (Zolfaghari et al. 2018, "ECO: efficient convolutional network for online video understanding", section 3).

The first layers of BN-Inception on every frame, then the last ones of a 3D ResNet-18 on all of them: names of
parameters are those of ECO-pytorch. Its weights are of BGR pixels of 0 to 255 less (104, 117, 128).
"""

from torch import Tensor, nn

from models.bn_inception import SMALLEST_PX, Normed
from models.volume import check_clip
from pipeline.base.errors import ZoetropeError


class ECOLite(Normed):
    """A video classifier: float [B, in_channels, T, H, W] -> logits [B, num_classes]; T, H and W are free.

    With `bgr` the first convolution gets the channels of RGB in the order of the release's weights.
    """

    def __init__(self, *, num_classes: int, width: int, in_channels: int, dropout: float, bgr: bool = False) -> None:
        super().__init__()
        self.in_channels, self.bgr = in_channels, bgr

        before = self.add_stem(in_channels, width)
        for unit in ("inception_3a", "inception_3b"):
            before = self.add_unit(unit, before, width)
        last = max(1, 96 * width // 64)
        self.add("inception_3c_double_3x3_reduce", before, width, 1)
        self.add("inception_3c_double_3x3_1", width, last, 3)
        self._add_volumes(last, width)
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

    def frame_maps(self, frames: Tensor) -> Tensor:
        """Map float [N, in_channels, H, W] -> [N, 96 / 64 * width, H/8, W/8], of each frame alone."""
        x = self.stem(frames.flip(1) if self.bgr else frames)
        for unit in ("inception_3a", "inception_3b"):
            x = self.unit(unit, x)
        return self.convolved("inception_3c_double_3x3_1", self.convolved("inception_3c_double_3x3_reduce", x))

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
                active = self.normed(f"res{stage - 1}b_bn", raw)
                first = self.convolved(f"res{stage}a_1", active)
                shortcut = self.get_submodule(f"res{stage}a_down")(active)
                raw = self.get_submodule(f"res{stage}a_2")(first) + shortcut
            second = self.convolved(f"res{stage}b_1", self.normed(f"res{stage}a_bn", raw))
            raw = raw + self.get_submodule(f"res{stage}b_2")(second)
        return self.normed("res5b_bn", raw).mean((2, 3, 4))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, T, H, W] -> logits [B, num_classes]."""
        return self.fc_final(self.dropout(self.features(x)))
