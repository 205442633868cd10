"""Options of DeepLab v3 in cascade."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from models.options.deeplab_v3plus import OUTPUT_STRIDE
from models.options.resnet import TrunkOptions

if TYPE_CHECKING:
    from torch import nn


class DeepLabV3CascadeOptions(TrunkOptions):
    """Dilated ResNet whose last stage is repeated, each time with twice the rate."""

    eats = "image"
    answers = "mask"
    kind: Literal["deeplabv3cascade_resnet50", "deeplabv3cascade_resnet101"]
    output_stride: Literal[8, 16] = Field(default=16, description=OUTPUT_STRIDE.partition(";")[0])
    blocks: Literal[4, 5, 6, 7] = Field(default=7, description="number of the last block; 4 is ResNet's last stage")
    multi_grid: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        default=(1, 2, 1), description="multiplies the rate of a block's three convolutions, from block 4 on"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The paper's crop."""
        return (self.in_channels, 513, 513)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.deeplab_v3_cascade import DeepLabV3Cascade

        return DeepLabV3Cascade(self.depth, num_classes=num_classes, **self.arguments())
