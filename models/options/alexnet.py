"""Options of AlexNet."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions

if TYPE_CHECKING:
    from torch import nn


class AlexNetOptions(ModelOptions):
    """Five convolutions and three linear layers, as torchvision has them; sides of inputs have 63 px or more."""

    eats = "image"
    kind: Literal["alexnet"]
    width: int = Field(
        default=64, ge=4, le=1024, description="channels of the first layer; the later ones have 3, 6, 4, 4 times it"
    )
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")
    dropout: float = Field(default=0.5, ge=0, lt=1)

    def valid_side(self, px: int) -> int:
        """See `ModelOptions.valid_side`."""
        return max(px, 63)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.alexnet import AlexNet

        return AlexNet(num_classes=num_classes, **self.arguments())
