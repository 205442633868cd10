"""Options of TRN."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import BGR
from models.options.tsn import ClipOptions, OnResNetOptions

if TYPE_CHECKING:
    from torch import nn


class TRNFamily(ClipOptions):
    """TSN that relates its frames to each other: of all, and of three groups of each smaller number of them."""

    dropout: float = Field(default=0.8, ge=0, lt=1)
    frames: int = Field(default=8, ge=2, le=16, description="of a clip, as clip.frames")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """See `ModelOptions.input_shape`."""
        return (getattr(self, "in_channels", 3), self.frames, 224, 224)

    def valid_frames(self, frames: int) -> int:
        """See `ModelOptions.valid_frames`."""
        return self.frames


class TRNOptions(TRNFamily, OnResNetOptions):
    """The same on ResNet."""

    kind: Literal["trn_resnet18", "trn_resnet34", "trn_resnet50", "trn_resnet101"]

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.trn import TRN

        backbone, options = self.parts()
        return TRN(backbone, num_classes=num_classes, relation=4 * self.width, **options)


class TRNInceptionOptions(TRNFamily):
    """The same on BN-Inception, as published."""

    kind: Literal["trn_bninception"]
    width: int = Field(default=64, ge=4, le=1024, description="channels of the first layer; all others follow")
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB, 10 for five optical flow fields (x, y)")
    bgr: bool = Field(default=False, description=BGR)

    def valid_side(self, px: int) -> int:
        """See `ModelOptions.valid_side`."""
        return max(px, 7)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.bn_inception import BNInception
        from models.trn import TRN

        options = self.arguments()
        trunk = BNInception(**{name: options.pop(name) for name in ("width", "in_channels", "bgr")})
        return TRN(trunk, num_classes=num_classes, relation=4 * self.width, **options)
