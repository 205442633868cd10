"""Options of TRN."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.tsn import OnResNetOptions

if TYPE_CHECKING:
    from torch import nn


class TRNOptions(OnResNetOptions):
    """TSN that relates its frames to each other: of all, and of three groups of each smaller number of them."""

    kind: Literal["trn_resnet18", "trn_resnet34", "trn_resnet50", "trn_resnet101"]
    dropout: float = Field(default=0.8, ge=0, lt=1)
    frames: int = Field(default=8, ge=2, le=16, description="of a clip, as clip.frames")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """See `ModelOptions.input_shape`."""
        return (self.in_channels, self.frames, 224, 224)

    def valid_frames(self, frames: int) -> int:
        """See `ModelOptions.valid_frames`."""
        return self.frames

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.trn import TRN

        backbone, options = self.parts()
        return TRN(backbone, num_classes=num_classes, relation=4 * self.width, **options)
