"""Options of U-Net++."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions
from models.unet_size import LEAST_PX

if TYPE_CHECKING:
    from torch import nn


class UNetPlusPlusOptions(ModelOptions):
    """U-Net with nested paths between both sides; inputs of any size from 16 px on."""

    eats = "image"
    answers = "mask"
    kind: Literal["unetpp"]
    width: int = Field(
        default=32, ge=4, le=1024, description="channels of the first level; the later ones have 2, 4, 8, 16 times it"
    )
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB, 1 for grey pictures")
    upsample: Literal["deconv", "bilinear"] = Field(
        default="deconv", description="how maps are enlarged: 2x2 transposed convolutions, or bilinear interpolation"
    )
    deep_supervision: bool = Field(
        default=False,
        description="four nodes answer, and their mean counts; in training each learns by loss.auxiliary (1 in the "
        "paper)",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="keep no activations inside nodes but compute them again: less memory, more time"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The paper's crop of the cell nuclei is of 96 px; this is a usual size of U-Nets."""
        return (self.in_channels, 512, 512)

    def valid_side(self, px: int) -> int:
        """See `ModelOptions.valid_side`: four poolings halve it."""
        return max(px, LEAST_PX)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.unetpp import UNetPlusPlus

        return UNetPlusPlus(num_classes=num_classes, **self.arguments())
