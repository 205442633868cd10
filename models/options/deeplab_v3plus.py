"""Options of DeepLab v3+, and of v3 with multi-grid."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions
from models.options.resnet import TrunkOptions

if TYPE_CHECKING:
    from torch import nn

OUTPUT_STRIDE = "pixels of the input a place of the last map; rates are 12, 24, 36 and 6, 12, 18"


MSC = (
    "look at the picture in 1/2 and 3/4 of its size too; the largest logits count, and in training each size learns by "
    "loss.auxiliary"
)


class DeepLabV3MultiGridOptions(TrunkOptions):
    """DeepLab v3 of the paper on Caffe's ResNet, with multi-grid, as deeplab-pytorch has it."""

    eats = "image"
    answers = "mask"
    kind: Literal["deeplabv3mg_resnet50", "deeplabv3mg_resnet101"]
    output_stride: Literal[8, 16] = Field(default=16, description=OUTPUT_STRIDE)
    msc: bool = Field(default=False, description=MSC)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The paper's crop."""
        return (self.in_channels, 513, 513)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.deeplab_v3 import DeepLabV3MultiGrid

        return DeepLabV3MultiGrid(self.depth, num_classes=num_classes, **self.arguments())


class DeepLabV3PlusOptions(TrunkOptions):
    """Dilated ResNet, atrous spatial pyramid pooling, and a decoder that sees the first stage too."""

    eats = "image"
    answers = "mask"
    kind: Literal["deeplabv3plus_resnet50", "deeplabv3plus_resnet101"]
    variant: Literal["yassouali", "kazuto"] = Field(
        default="yassouali",
        description="whose layers: pytorch-segmentation's on torchvision's ResNet, or deeplab-pytorch's on Caffe's "
        "with multi-grid",
    )
    output_stride: Literal[8, 16] = Field(default=16, description=OUTPUT_STRIDE)
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="behind the pyramid; a fifth of it before the last layer; kazuto has none"
    )
    msc: bool = Field(default=False, description=MSC)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The paper's crop."""
        return (self.in_channels, 513, 513)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.deeplab_v3plus import DeepLabV3Plus

        return DeepLabV3Plus(self.depth, num_classes=num_classes, **self.arguments())


class DeepLabV3PlusXceptionOptions(ModelOptions):
    """The same on aligned Xception, of separable convolutions."""

    eats = "image"
    answers = "mask"
    kind: Literal["deeplabv3plus_xception"]
    width: int = Field(
        default=64, ge=4, le=1024, description="channels before the first block; the others are in proportion"
    )
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")
    gradient_checkpointing: bool = Field(
        default=False, description="keep no activations inside blocks but compute them again: less memory, more time"
    )
    output_stride: Literal[8, 16] = Field(default=16, description=OUTPUT_STRIDE)
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="behind the pyramid; a fifth of it before the last layer"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The paper's crop."""
        return (self.in_channels, 513, 513)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.deeplab_v3plus import DeepLabV3Plus

        options = self.arguments()
        return DeepLabV3Plus(None, num_classes=num_classes, variant="yassouali", msc=False, **options)
