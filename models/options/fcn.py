"""Options of FCN."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions

if TYPE_CHECKING:
    from torch import nn


class FCNOptions(ModelOptions):
    """Fully convolutional VGG-16; the number is the stride of the finest scores that are added."""

    eats = "image"
    answers = "mask"
    kind: Literal["fcn8s_vgg16", "fcn16s_vgg16", "fcn32s_vgg16"]
    width: int = Field(
        default=64, ge=4, le=1024, description="channels of the first stage; the later ones have 2, 4, 8 times it"
    )
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")
    dropout: float = Field(default=0.5, ge=0, lt=1)
    upsample: Literal["deconv", "bilinear"] = Field(
        default="deconv",
        description="how scores are enlarged: transposed convolutions that begin as bilinear ones, or without weights",
    )
    learn_upsample: bool = Field(default=False, description="train these convolutions; in the released nets they stay")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The size of most pictures of PASCAL VOC at its longer side."""
        return (self.in_channels, 500, 500)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.fcn import FCN

        stride: dict[str, Literal[8, 16, 32]] = {"fcn8s_vgg16": 8, "fcn16s_vgg16": 16, "fcn32s_vgg16": 32}
        return FCN(stride=stride[self.kind], num_classes=num_classes, **self.arguments())
