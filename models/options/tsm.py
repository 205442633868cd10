"""Options of TSM, on either backbone."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions
from models.options.tsn import MobileNetV2ClipOptions, ResNetClipOptions

if TYPE_CHECKING:
    from torch import nn


class ShiftOptions(ModelOptions):
    """How TSM's blocks exchange channels between neighbouring frames."""

    shift: int = Field(
        default=8, ge=2, description="1/shift of the channels moves forward in time, as many move backward"
    )
    place: Literal["blockres", "block"] = Field(
        default="blockres", description="shift the residual branch only, or the whole block with its identity path"
    )
    direction: Literal["both", "past"] = Field(
        default="both", description="'past' never looks at a later frame, so that the model can run online"
    )


class TSMOptions(ShiftOptions, ResNetClipOptions):
    """TSN whose blocks exchange channels between neighbouring frames."""

    kind: Literal["tsm_resnet18", "tsm_resnet34", "tsm_resnet50", "tsm_resnet101"]

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.tsm import TSM

        backbone, options = self.parts()
        return TSM(backbone, num_classes=num_classes, **options)


class TSMMobileNetV2Options(ShiftOptions, MobileNetV2ClipOptions):
    """TSN on MobileNetV2, with shifts in its ten blocks that have an identity path."""

    kind: Literal["tsm_mobilenetv2"]

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.tsm import TSM

        backbone, options = self.parts()
        return TSM(backbone, num_classes=num_classes, **options)
