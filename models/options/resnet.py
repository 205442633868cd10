"""Options of ResNet, and of what is built on one."""

import re
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
        """The ResNet's layers, whose number the model's name has behind `resnet` or `resnext`."""
        return int(re.findall(r"\d+", self.kind.rpartition("resne")[2])[0])


class BackboneOptions(TrunkOptions):
    """The same, with a choice of stems."""

    stem: Literal["imagenet", "small"] = Field(
        default="imagenet",
        description="'small' is a 3x3 convolution of stride 1 without max pooling, for images of 32 px",
    )


class ResNetFamily(BackboneOptions):
    """What all classifiers of images can choose."""

    eats = "image"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    auxiliary_head: bool = Field(
        default=False, description="a second classifier on the third stage, in training; see loss.auxiliary"
    )

    def inside(self) -> dict[str, int]:
        """Return `widening` and `groups` of the bottlenecks, where they are not 1."""
        return {}

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.resnet import ResNet

        return ResNet(self.depth, num_classes=num_classes, **{**self.arguments(), **self.inside()})


class ResNetOptions(ResNetFamily):
    """Plain ResNet on images."""

    kind: Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


class ResNeXtOptions(ResNetFamily):
    """ResNet whose 3x3 convolutions are in groups; half the width is half as many groups, each as wide as before."""

    kind: Literal["resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"]
    width: int = Field(
        default=64,
        ge=4,
        le=1024,
        multiple_of=2,
        description="channels of the first stage; the later ones have 2, 4, 8 times it",
    )

    def inside(self) -> dict[str, int]:
        """See `ResNetFamily.inside`; a name ends with the groups, and their channels in the first stage."""
        groups, each = map(int, re.findall(r"\d+", self.kind)[1:])
        return {"widening": groups * each // 64, "groups": groups * self.width // 64}


class WideResNetOptions(ResNetFamily):
    """ResNet whose bottlenecks are twice as wide inside."""

    kind: Literal["wide_resnet50_2", "wide_resnet101_2"]

    def inside(self) -> dict[str, int]:
        """See `ResNetFamily.inside`."""
        return {"widening": 2}


class SEResNetOptions(ResNetFamily):
    """ResNet whose blocks scale channels by what their means say; the authors' own, Caffe's ResNet."""

    kind: Literal["se_resnet50", "se_resnet101", "se_resnet152"]

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.se_resnet import SEResNet

        return SEResNet(self.depth, num_classes=num_classes, **self.arguments())
