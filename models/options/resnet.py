"""Options of ResNet, and of what is built on one."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions

if TYPE_CHECKING:
    from torch import nn


class TrunkOptions(ModelOptions):
    """What every model on a ResNet can choose."""

    width: int = Field(
        default=64, ge=4, le=1024, description="channels of the first stage; the later ones have 2, 4, 8 times it"
    )
    zero_init_residual: bool = Field(default=False, description="start every residual branch at zero")
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB, 10 for five optical flow fields (x, y)")
    gradient_checkpointing: bool = Field(
        default=False, description="keep no activations inside blocks but compute them again: less memory, more time"
    )

    @property
    def depth(self) -> int:
        """The ResNet's layers, with whose number the model's name ends."""
        return int(self.kind.rpartition("resnet")[2])


class BackboneOptions(TrunkOptions):
    """The same, with a choice of stems."""

    stem: Literal["imagenet", "small"] = Field(
        default="imagenet",
        description="'small' is a 3x3 convolution of stride 1 without max pooling, for images of 32 px",
    )


class ResNetOptions(BackboneOptions):
    """Plain ResNet on images."""

    eats = "image"
    kind: Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
    dropout: float = Field(default=0.0, ge=0, lt=1)
    auxiliary_head: bool = Field(
        default=False, description="a second classifier on the third stage, in training; see loss.auxiliary"
    )

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.resnet import ResNet

        return ResNet(self.depth, num_classes=num_classes, **self.arguments())
