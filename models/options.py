"""The options of every model, as data: what a recipe's `model:` may say. Nothing here imports torch.

A class describes a family; its field names are the keyword parameters of the family's module, and its defaults are
the only place where defaults are written.
"""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Eats = Literal["image", "video"]


class ModelOptions(BaseModel):
    """Base of all families. `eats` says what a family takes: "image" [B, C, H, W] or "video" [B, C, T, H, W]."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    eats: ClassVar[Eats]


class BackboneOptions(ModelOptions):
    """What every model on a ResNet can choose."""

    width: int = Field(
        default=64, ge=4, le=1024, description="channels of the first stage; the later ones have 2, 4, 8 times it"
    )
    stem: Literal["imagenet", "small"] = Field(
        default="imagenet",
        description="'small' is a 3x3 convolution of stride 1 without max pooling, for images of 32 px",
    )
    zero_init_residual: bool = Field(default=False, description="start every residual branch at zero")


class ResNetOptions(BackboneOptions):
    """Plain ResNet on images."""

    eats = "image"
    kind: Literal["resnet18", "resnet34", "resnet50", "resnet101"]
    dropout: float = Field(default=0.0, ge=0, lt=1)


class TSNOptions(BackboneOptions):
    """ResNet on every frame of a clip, averaged."""

    eats = "video"
    kind: Literal["tsn_resnet18", "tsn_resnet34", "tsn_resnet50", "tsn_resnet101"]
    dropout: float = Field(default=0.5, ge=0, lt=1)


class TSMOptions(BackboneOptions):
    """TSN whose blocks exchange channels between neighbouring frames."""

    eats = "video"
    kind: Literal["tsm_resnet18", "tsm_resnet34", "tsm_resnet50", "tsm_resnet101"]
    dropout: float = Field(default=0.5, ge=0, lt=1)
    shift: int = Field(
        default=8, ge=2, description="1/shift of the channels moves forward in time, as many move backward"
    )
    place: Literal["blockres", "block"] = Field(
        default="blockres", description="shift the residual branch only, or the whole block with its identity path"
    )


OPTIONS: dict[str, type[ModelOptions]] = {
    "resnet18": ResNetOptions,
    "resnet34": ResNetOptions,
    "resnet50": ResNetOptions,
    "resnet101": ResNetOptions,
    "tsn_resnet18": TSNOptions,
    "tsn_resnet34": TSNOptions,
    "tsn_resnet50": TSNOptions,
    "tsn_resnet101": TSNOptions,
    "tsm_resnet18": TSMOptions,
    "tsm_resnet34": TSMOptions,
    "tsm_resnet50": TSMOptions,
    "tsm_resnet101": TSMOptions,
}
