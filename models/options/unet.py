"""Options of U-Net."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions
from models.unet_size import LEAST_PX, MARGIN_PX, valid_size

if TYPE_CHECKING:
    from torch import nn


class UNetFamily(ModelOptions):
    """What both U-Nets can choose."""

    eats = "image"
    answers = "mask"
    width: int = Field(
        default=64, ge=4, le=1024, description="channels of the first level; the later ones have 2, 4, 8, 16 times it"
    )
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB, 1 for grey pictures")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="behind the last two levels of the contracting path")
    upsample: Literal["deconv", "bilinear"] = Field(
        default="deconv",
        description="how maps are enlarged: 2x2 transposed convolutions, or bilinear ones and a 1x1 convolution",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="keep no activations inside levels but compute them again: less memory, more time"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Figure 1 of the paper."""
        return (self.in_channels, 572, 572)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.unet import UNet

        return UNet(padded=False, num_classes=num_classes, **self.arguments())


class UNetOptions(UNetFamily):
    """U-Net as published, unpadded: logits are 92 px smaller on each side, sides of inputs have 16 p + 60 px."""

    kind: Literal["unet"]
    margin_px = MARGIN_PX
    dropout: float = Field(default=0.5, ge=0, lt=1, description="behind the last two levels of the contracting path")

    def valid_side(self, px: int) -> int:
        """See `valid_size`."""
        return valid_size(px)


class UNetBNOptions(UNetFamily):
    """U-Net with padding and batch norms: logits of the input's size, which is any from 16 px on."""

    kind: Literal["unet_bn"]
    late = frozenset({"variant"})
    variant: Literal["milesial", "yassouali"] = Field(
        default="milesial",
        description="whose layers: milesial's Pytorch-UNet, or pytorch-segmentation's, which has deconvolutions and no "
        "dropout",
    )

    def valid_side(self, px: int) -> int:
        """See `ModelOptions.valid_side`: four poolings halve it."""
        return max(px, LEAST_PX)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.unet import UNet
        from models.unet_yassouali import UNetYassouali

        options = self.arguments()
        if options.pop("variant") == "yassouali":
            del options["dropout"], options["upsample"]
            return UNetYassouali(num_classes=num_classes, **options)
        return UNet(padded=True, num_classes=num_classes, **options)
