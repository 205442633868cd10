"""Options of VGG."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions

if TYPE_CHECKING:
    from torch import nn


class VGGOptions(ModelOptions):
    """Plain VGG on images, as torchvision has it; sides of inputs have 32 px or more."""

    eats = "image"
    kind: Literal["vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]
    width: int = Field(
        default=64, ge=4, le=1024, description="channels of the first stage; the later ones have 2, 4, 8, 8 times it"
    )
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")
    dropout: float = Field(default=0.5, ge=0, lt=1)

    def valid_side(self, px: int) -> int:
        """See `ModelOptions.valid_side`."""
        return max(px, 32)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.vgg import VGG

        depth, _, normed = self.kind.removeprefix("vgg").partition("_")
        return VGG(int(depth), num_classes=num_classes, batch_norm=bool(normed), **self.arguments())
