"""Options of SSD."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from models.options.base import ModelOptions

if TYPE_CHECKING:
    from torch import nn


class SSDOptions(ModelOptions):
    """SSD on VGG-16, for pictures of 300 x 300 or 512 x 512 px; sides of others have 257 px or more."""

    eats = "image"
    answers = "objects"
    kind: Literal["ssd300_vgg16", "ssd512_vgg16"]
    width: int = Field(
        default=64, ge=4, le=1024, description="channels of the first stage; the later ones have 2, 4, 8, 8 times it"
    )
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")
    batch_norm: bool = Field(
        default=False, description="a batch norm behind each convolution: not as published, for training from scratch"
    )
    priors: Literal["voc", "coco", "torchvision"] = Field(
        default="voc",
        description="whose prior boxes: the authors' of VOC or, with smaller ones, of COCO, or torchvision's of COCO; "
        "weights belong to those that they were trained with",
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The size in the name."""
        return (self.in_channels, self.size_px, self.size_px)

    @property
    def size_px(self) -> Literal[300, 512]:
        """The side of the input that it is published for."""
        return 300 if self.kind == "ssd300_vgg16" else 512

    def valid_side(self, px: int) -> int:
        """See `ModelOptions.valid_side`; of less, the last map would have no place."""
        return max(px, 257)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.ssd_vgg import SSDVGG

        return SSDVGG(self.size_px, num_classes=num_classes, **self.arguments())


class SSDMobileNetV2Options(ModelOptions):
    """SSD with light heads on MobileNetV2, for small machines and inputs of any size."""

    eats = "image"
    answers = "objects"
    kind: Literal["ssd_mobilenet_v2"]
    width_mult: float = Field(default=1.0, gt=0, le=8, description="multiplies the channels of every layer")
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")
    stride: Literal[8, 16] = Field(
        default=16, description="px between the places of the finest map; 8 finds objects of less than some 30 px"
    )
    scales: tuple[float, float] = Field(
        default=(0.2, 0.95),
        description="sides of the smallest and of the largest priors, as shares of the picture's shorter side",
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The size of SSDLite."""
        return (self.in_channels, 320, 320)

    @field_validator("scales")
    @classmethod
    def _scales_grow(cls, scales: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scales[0] < scales[1] <= 1:
            raise ValueError("it is to be two shares above 0 and up to 1, the smaller first, as in [0.1, 0.9]")
        return scales

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.ssd_mobilenet import SSDMobileNetV2

        return SSDMobileNetV2(num_classes=num_classes, **self.arguments())
