"""Options of FCN-AlexNet."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions

if TYPE_CHECKING:
    from torch import nn


class FCNAlexNetOptions(ModelOptions):
    """Fully convolutional AlexNet, as Caffe has it; scores have a stride of 32."""

    eats = "image"
    answers = "mask"
    kind: Literal["fcn_alexnet"]
    width: int = Field(
        default=64,
        ge=4,
        le=1024,
        description="layers have 1.5, 4, 6, 6, 4 times as many channels, linear ones 64 times",
    )
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")
    dropout: float = Field(default=0.5, ge=0, lt=1)
    learn_upsample: bool = Field(
        default=False, description="train the kernel that enlarges; in the released net it stays"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The size of most pictures of PASCAL VOC at its longer side."""
        return (self.in_channels, 500, 500)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.fcn_alexnet import FCNAlexNet

        return FCNAlexNet(num_classes=num_classes, **self.arguments())
