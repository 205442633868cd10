"""Options of Faster R-CNN and Mask R-CNN."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PositiveInt, field_validator

from models.options.base import ModelOptions
from models.options.resnet import TrunkOptions

if TYPE_CHECKING:
    from torch import nn

Norm = Literal["frozen", "batch", "group"]
NORM = (
    "of the backbone: 'frozen' batch norms keep what the weights say, for those of ImageNet or COCO; 'batch' learns, "
    "see train.sync_bn; 'group' learns and does not depend on the batch"
)
CHANNELS = "of the pyramid's maps"
HIDDEN = "of the two linear layers on what is pooled from a box"
PROPOSALS = "how many the first stage makes of a picture in training, and else"
ROIS = "boxes of a picture that the second stage learns from, a quarter of them objects"


class RCNNFamily(ModelOptions):
    """What all detectors of two stages can choose."""

    eats = "image"
    answers = "objects"
    channels: int = Field(default=256, ge=2, le=4096, multiple_of=2, description=CHANNELS)
    hidden: PositiveInt = Field(default=1024, description=HIDDEN)
    fpn: Literal["fpn", "horfpn", "horfpn_gf"] = Field(
        default="fpn",
        description="what is behind each sum of the pyramid: a 3x3 convolution, or HorFPN's gnConv, 7x7 or global",
    )
    norm: Norm = Field(default="frozen", description=NORM)
    norm_eps: float = Field(
        default=1e-5, ge=0, description="of the backbone's norms; 0 is that of torchvision's weights of COCO"
    )
    anchor_px: tuple[float, float, float, float, float] = Field(
        default=(32, 64, 128, 256, 512), description="sides of the anchors of each level, the finest first, in px"
    )
    proposals: tuple[PositiveInt, PositiveInt] = Field(default=(2000, 1000), description=PROPOSALS)
    rois: int = Field(default=512, ge=4, description=ROIS)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shorter side that it is published for."""
        return (getattr(self, "in_channels", 3), 800, 800)

    @field_validator("anchor_px")
    @classmethod
    def _sides_are_positive(cls, sides: tuple[float, ...]) -> tuple[float, ...]:
        if min(sides) <= 0:
            raise ValueError("it is to be five sides above 0, in px")
        return sides

    def parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the keyword parameters of the backbone, and those of what is on it."""
        options = self.arguments()
        names = RCNNFamily.model_fields.keys() - ModelOptions.model_fields.keys()
        head = {name: options.pop(name) for name in names} | self.design()
        return options, head

    def design(self) -> dict[str, Any]:
        """Return the keyword parameters of the detector that no one chooses."""
        return {"masks": self.outlines}

    def detector(self, backbone: "nn.Module", num_classes: int, head: dict[str, Any]) -> "nn.Module":
        """Put the detector on a backbone."""
        from models.rcnn import FasterRCNN

        return FasterRCNN(backbone, num_classes=num_classes, **head)  # type: ignore[arg-type]  # which has `maps`


class LightRCNN(RCNNFamily):
    """The same, for small machines."""

    channels: int = Field(default=128, ge=2, le=4096, multiple_of=2, description=CHANNELS)
    hidden: PositiveInt = Field(default=512, description=HIDDEN)
    norm: Norm = Field(default="batch", description=NORM)
    proposals: tuple[PositiveInt, PositiveInt] = Field(default=(1000, 300), description=PROPOSALS)
    rois: int = Field(default=128, ge=4, description=ROIS)


class Enhanced(RCNNFamily):
    """torchvision's second version."""

    norm: Norm = Field(default="batch", description=NORM)

    def design(self) -> dict[str, Any]:
        """See `RCNNFamily.design`."""
        return {**super().design(), "head": "conv", "enhanced": True}


class Outlined:
    """The same, with masks."""

    outlines: ClassVar[bool] = True


class OnResNet(TrunkOptions, RCNNFamily):
    """What detectors on ResNet are built by."""

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.resnet import Backbone

        design, head = self.parts()
        return self.detector(Backbone(self.depth, stem="imagenet", **design), num_classes, head)

    @property
    def depth(self) -> int:
        """The ResNet's layers."""
        return int(self.kind.partition("resnet")[2].partition("_")[0])


class OnMobileNetV2(LightRCNN):
    """What detectors on MobileNetV2 are built by."""

    width_mult: float = Field(default=1.0, gt=0, le=8, description="multiplies the channels of the backbone's layers")
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.mobilenet import MobileNetV2Maps

        design, head = self.parts()
        return self.detector(MobileNetV2Maps(**design), num_classes, head)


class FasterRCNNResNetOptions(OnResNet):
    """Faster R-CNN with a feature pyramid on ResNet."""

    kind: Literal["fasterrcnn_resnet50_fpn", "fasterrcnn_resnet101_fpn"]


class FasterRCNNV2Options(Enhanced, OnResNet):
    """torchvision's second version: more convolutions, and batch norms that learn."""

    kind: Literal["fasterrcnn_resnet50_fpn_v2"]


class FasterRCNNResNet18Options(LightRCNN, OnResNet):
    """The same, light, for small machines."""

    kind: Literal["fasterrcnn_resnet18_fpn"]


class FasterRCNNMobileNetV2Options(OnMobileNetV2):
    """Faster R-CNN with a feature pyramid on MobileNetV2, for small machines."""

    kind: Literal["fasterrcnn_mobilenet_v2_fpn"]


class MaskRCNNResNetOptions(Outlined, OnResNet):
    """Mask R-CNN with a feature pyramid on ResNet: boxes, and a mask in each."""

    kind: Literal["maskrcnn_resnet50_fpn", "maskrcnn_resnet101_fpn"]


class MaskRCNNV2Options(Outlined, Enhanced, OnResNet):
    """torchvision's second version: more convolutions, and batch norms that learn."""

    kind: Literal["maskrcnn_resnet50_fpn_v2"]


class MaskRCNNResNet18Options(Outlined, LightRCNN, OnResNet):
    """The same, light, for small machines."""

    kind: Literal["maskrcnn_resnet18_fpn"]


class MaskRCNNMobileNetV2Options(Outlined, OnMobileNetV2):
    """Mask R-CNN with a feature pyramid on MobileNetV2, for small machines."""

    kind: Literal["maskrcnn_mobilenet_v2_fpn"]
