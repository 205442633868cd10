"""Options of DeepLab v3."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.resnet import BackboneOptions

if TYPE_CHECKING:
    from torch import nn


class DeepLabV3Options(BackboneOptions):
    """Dilated ResNet and atrous spatial pyramid pooling, as torchvision has them."""

    eats = "image"
    answers = "mask"
    kind: Literal["deeplabv3_resnet50", "deeplabv3_resnet101"]
    output_stride: Literal[8, 16] = Field(
        default=8, description="pixels of the input a place of the last map; rates are 12, 24, 36 and 6, 12, 18"
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="behind the pyramid")
    auxiliary_head: bool = Field(
        default=True, description="a second head on the third stage, in training; see loss.auxiliary"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """For which torchvision gives costs."""
        return (self.in_channels, 520, 520)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.deeplab_v3 import DeepLabV3

        return DeepLabV3(self.depth, num_classes=num_classes, **self.arguments())
