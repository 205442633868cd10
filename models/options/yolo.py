"""Options of YOLOv5, and of HorNet in it."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt, field_validator

from models.options.base import ModelOptions

if TYPE_CHECKING:
    from torch import nn

Pair = tuple[float, float]
Level = tuple[Pair, Pair, Pair]
Anchors = tuple[Level, Level, Level]
COCO: Anchors = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
"""Published, of pictures of 640 px."""
SIZES = {"n": (0.33, 0.25), "s": (0.33, 0.5), "m": (0.67, 0.75), "l": (1.0, 1.0), "x": (1.33, 1.25)}
"""Depth and width by the last letter of a name."""
ORDER = "how often a gated convolution multiplies; n needs channels that 2^(n-1) divides"


class YOLOv5Family(ModelOptions):
    """What all of them can choose; the letter at the end of a name is its size."""

    eats = "image"
    answers = "objects"
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB, 1 for grey; as data.channels")
    anchors: Literal["measure"] | Anchors = Field(
        default=COCO,
        description="widths and heights in px that boxes are told from, three for each of the strides 8, 16 and 32; "
        "`measure`: of the training's objects. Weights that are loaded bring their own",
    )
    gains: tuple[float, float, float] = Field(
        default=(0.05, 1.0, 0.5),
        description="weights of the loss of boxes, of objectness and of classes, the published ones of n and s; larger "
        "models have [0.05, 0.7, 0.3]",
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The size that it is published for."""
        return (self.in_channels, 640, 640)

    @field_validator("anchors")
    @classmethod
    def _sides_are_positive(cls, anchors: Any) -> Any:
        if anchors != "measure" and min(side for level in anchors for pair in level for side in pair) <= 0:
            raise ValueError("it is to be three levels of three pairs above 0, widths and heights in px, or measure")
        return anchors

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`. What is to be measured is as published until then."""
        from models.yolov5 import YOLOv5

        depth, width = SIZES[self.kind[-1]]
        options = {**self.arguments(), "anchors": COCO if self.anchors == "measure" else self.anchors}
        hornet = self.kind.startswith("hornet")
        return YOLOv5(num_classes=num_classes, depth=depth, width=width, hornet=hornet, **options)


class YOLOv5Options(YOLOv5Family):
    """YOLOv5, version 6."""

    kind: Literal["yolov5n", "yolov5s", "yolov5m", "yolov5l", "yolov5x"]


class GnConvYOLOv5Options(YOLOv5Family):
    """YOLOv5 with gnConv in the C3 layers of its neck, in place of 3x3 convolutions."""

    kind: Literal["gnconv_yolov5n", "gnconv_yolov5s", "gnconv_yolov5m", "gnconv_yolov5l", "gnconv_yolov5x"]
    gnconv: PositiveInt = Field(default=5, description=ORDER)


class HorBlockYOLOv5Options(YOLOv5Family):
    """YOLOv5 with HorNet's blocks in place of C3 layers."""

    kind: Literal["horblock_yolov5n", "horblock_yolov5s", "horblock_yolov5m", "horblock_yolov5l", "horblock_yolov5x"]
    horblock: Literal["backbone", "neck"] = Field(
        default="backbone",
        description="which: the backbone's four, or those two of the neck that leave the number of channels as it is",
    )
    horblock_order: PositiveInt = Field(default=5, description=ORDER)


class HorNetYOLOv5Options(YOLOv5Family):
    """YOLOv5 with a HorNet as its backbone, as wide as the backbone whose place it takes."""

    kind: Literal["hornet_yolov5n", "hornet_yolov5s", "hornet_yolov5m", "hornet_yolov5l", "hornet_yolov5x"]
