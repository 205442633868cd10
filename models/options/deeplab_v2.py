"""Options of DeepLab v1 and v2."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from models.options.base import ModelOptions
from models.options.resnet import TrunkOptions

if TYPE_CHECKING:
    from torch import nn


class DeepLabV1Options(ModelOptions):
    """VGG-16 whose last layers dilate in place of striding."""

    eats = "image"
    answers = "mask"
    kind: Literal["deeplabv1_vgg16"]
    width: int = Field(
        default=64, ge=4, le=1024, description="channels of the first stage; the later ones have 2, 4, 8, 8 times it"
    )
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")
    field: Literal["large", "4x4", "7x7"] = Field(
        default="large",
        description="what a place of fc6 sees: 3x3 places 12 apart (LargeFOV), 4x4 of them 8 apart, or 7x7 4 apart",
    )
    branches: bool = Field(
        default=False, description="the last layer also sees the picture and the first four pools (multi-scale)"
    )
    dropout: float = Field(default=0.5, ge=0, lt=1)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The authors' crop."""
        return (self.in_channels, 321, 321)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.deeplab_v1 import DeepLabV1

        return DeepLabV1(num_classes=num_classes, **self.arguments())


class DeepLabV1ResNetOptions(TrunkOptions):
    """Caffe's dilated ResNet and one convolution: the network of the COCO weights with which v2 starts."""

    eats = "image"
    answers = "mask"
    kind: Literal["deeplabv1_resnet101"]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The crop of the port whose weights these are."""
        return (self.in_channels, 513, 513)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.deeplab_v2 import DeepLabV1ResNet

        return DeepLabV1ResNet(self.depth, num_classes=num_classes, **self.arguments())


class DeepLabV2Options(TrunkOptions):
    """Caffe's dilated ResNet and the sum of convolutions of several rates."""

    eats = "image"
    answers = "mask"
    kind: Literal["deeplabv2_resnet101"]
    rates: tuple[PositiveInt, ...] = Field(
        default=(6, 12, 18, 24), min_length=1, max_length=8, description="of the convolutions that are added up"
    )
    msc: bool = Field(
        default=True,
        description="look at the picture in 1/2 and 3/4 of its size too; the largest logits count, and in training "
        "each size learns by loss.auxiliary",
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The size for which costs are published."""
        return (self.in_channels, 513, 513)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.deeplab_v2 import DeepLabV2

        return DeepLabV2(self.depth, num_classes=num_classes, **self.arguments())
