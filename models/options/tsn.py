"""Options of TSN, on either backbone."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from models.options.base import ModelOptions
from models.options.resnet import BackboneOptions

if TYPE_CHECKING:
    from torch import nn

    from models.mobilenet import MobileNetV2Backbone
    from models.resnet import Backbone


class ClipOptions(ModelOptions):
    """What TSN and TSM can choose on every backbone."""

    eats = "video"
    dropout: float = Field(default=0.5, ge=0, lt=1)
    partial_bn: bool = Field(default=False, description="freeze every batch norm of the backbone but the first")


class OnResNetOptions(ClipOptions, BackboneOptions):
    """What TSN, TSM and TRN can choose on a ResNet."""

    def parts(self) -> "tuple[Backbone, dict[str, Any]]":
        """Return the backbone and the arguments that are left for what stands on it."""
        from models.resnet import Backbone

        options = self.arguments()
        names = BackboneOptions.model_fields.keys() - ModelOptions.model_fields.keys()
        return Backbone(self.depth, **{name: options.pop(name) for name in names}), options


class ResNetClipOptions(OnResNetOptions):
    """What TSN and TSM can choose on a ResNet."""

    temporal_pool: bool = Field(default=False, description="halve the frames by max pooling before the second stage")
    non_local: bool = Field(
        default=False, description="a non-local block behind every other block of the second and third stage"
    )


class MobileNetV2ClipOptions(ClipOptions):
    """What TSN and TSM can choose on a MobileNetV2."""

    width_mult: float = Field(default=1.0, gt=0, le=8, description="multiplies the channels of every layer")
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB, 10 for five optical flow fields (x, y)")

    def parts(self) -> "tuple[MobileNetV2Backbone, dict[str, Any]]":
        """Return the backbone, and the arguments that are left for what stands on it."""
        from models.mobilenet import MobileNetV2Backbone

        options = self.arguments()
        taken = {name: options.pop(name) for name in ("width_mult", "in_channels")}
        return MobileNetV2Backbone(nested=False, **taken), options


class TSNOptions(ResNetClipOptions):
    """ResNet on every frame of a clip, averaged."""

    kind: Literal["tsn_resnet18", "tsn_resnet34", "tsn_resnet50", "tsn_resnet101"]

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.tsn import TSN

        backbone, options = self.parts()
        return TSN(backbone, num_classes=num_classes, **options)


class TSNMobileNetV2Options(MobileNetV2ClipOptions):
    """MobileNetV2 on every frame of a clip, averaged."""

    kind: Literal["tsn_mobilenetv2"]

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.tsn import TSN

        backbone, options = self.parts()
        return TSN(backbone, num_classes=num_classes, **options)
