"""Options of MobileNetV2."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions

if TYPE_CHECKING:
    from torch import nn


class MobileNetV2Options(ModelOptions):
    """Plain MobileNetV2 on images."""

    eats = "image"
    kind: Literal["mobilenetv2"]
    width_mult: float = Field(default=1.0, gt=0, le=8, description="multiplies the channels of every layer")
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")
    dropout: float = Field(default=0.2, ge=0, lt=1)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.mobilenet import MobileNetV2

        return MobileNetV2(num_classes=num_classes, **self.arguments())
