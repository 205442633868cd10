"""The options of every model, as data: what a recipe's `model:` may say. Nothing here imports torch.

A class describes a family; its field names are the keyword parameters of the family's module, and its defaults are
the only place where defaults are written.
"""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

Eats = Literal["image", "video"]
Answers = Literal["classes", "mask"]


class ModelOptions(BaseModel):
    """Base of all families.

    `eats` says what a family takes: "image" [B, C, H, W] or "video" [B, C, T, H, W]; `answers` what it gives: logits
    of "classes" [B, K] or of a "mask" [B, K, H, W], each perhaps in a tuple, the main head's first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    eats: ClassVar[Eats]
    answers: ClassVar[Answers] = "classes"

    weights: str | None = Field(
        default=None,
        description="official or own weights to start from: a path, an https URL or hf://org/name/file; of several in "
        "a file `#entry` behind it takes one, such as an average: w.pth#state_dict_ema",
    )
    init: Literal["own", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"] = Field(
        default="own", description="how weights are drawn; 'own' is as the model was published"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Channels, frames (of a clip), height and width of the published input, for which costs are counted."""
        channels = getattr(self, "in_channels", 3)
        return (channels, 224, 224) if self.eats == "image" else (channels, 8, 224, 224)


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
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB, 10 for five optical flow fields (x, y)")
    gradient_checkpointing: bool = Field(
        default=False, description="keep no activations inside blocks but compute them again: less memory, more time"
    )


class ResNetOptions(BackboneOptions):
    """Plain ResNet on images."""

    eats = "image"
    kind: Literal["resnet18", "resnet34", "resnet50", "resnet101"]
    dropout: float = Field(default=0.0, ge=0, lt=1)
    auxiliary_head: bool = Field(
        default=False, description="a second classifier on the third stage, in training; see loss.auxiliary"
    )


class MobileNetV2Options(ModelOptions):
    """Plain MobileNetV2 on images."""

    eats = "image"
    kind: Literal["mobilenetv2"]
    width_mult: float = Field(default=1.0, gt=0, le=8, description="multiplies the channels of every layer")
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")
    dropout: float = Field(default=0.2, ge=0, lt=1)


class ClipOptions(ModelOptions):
    """What TSN and TSM can choose on every backbone."""

    eats = "video"
    dropout: float = Field(default=0.5, ge=0, lt=1)
    partial_bn: bool = Field(default=False, description="freeze every batch norm of the backbone but the first")


class ResNetClipOptions(ClipOptions, BackboneOptions):
    """What TSN and TSM can choose on a ResNet."""

    temporal_pool: bool = Field(default=False, description="halve the frames by max pooling before the second stage")
    non_local: bool = Field(
        default=False, description="a non-local block behind every other block of the second and third stage"
    )


class MobileNetV2ClipOptions(ClipOptions):
    """What TSN and TSM can choose on a MobileNetV2."""

    width_mult: float = Field(default=1.0, gt=0, le=8, description="multiplies the channels of every layer")
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB, 10 for five optical flow fields (x, y)")


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


class TSNOptions(ResNetClipOptions):
    """ResNet on every frame of a clip, averaged."""

    kind: Literal["tsn_resnet18", "tsn_resnet34", "tsn_resnet50", "tsn_resnet101"]


class TSMOptions(ShiftOptions, ResNetClipOptions):
    """TSN whose blocks exchange channels between neighbouring frames."""

    kind: Literal["tsm_resnet18", "tsm_resnet34", "tsm_resnet50", "tsm_resnet101"]


class TSNMobileNetV2Options(MobileNetV2ClipOptions):
    """MobileNetV2 on every frame of a clip, averaged."""

    kind: Literal["tsn_mobilenetv2"]


class TSMMobileNetV2Options(ShiftOptions, MobileNetV2ClipOptions):
    """TSN on MobileNetV2, with shifts in its ten blocks that have an identity path."""

    kind: Literal["tsm_mobilenetv2"]


class TimeSformerFamily(ModelOptions):
    """Vision transformer on clips; the defaults are those of the 8-frame model."""

    eats = "video"
    attention: Literal["space_only", "joint_space_time", "divided_space_time", "local_global", "axial"] = Field(
        default="divided_space_time", description="the paper's S, ST, T+S, L+G and T+W+H"
    )
    width: int = Field(default=768, ge=8, le=4096, description="length of a token; a multiple of heads")
    depth: int = Field(default=12, ge=1, le=100, description="number of blocks")
    heads: int = Field(default=12, ge=1, le=128)
    patch_px: int = Field(default=16, ge=1, description="side of the patches that frames are cut into")
    size_px: int = Field(default=224, ge=1, description="side of the frames that embeddings of position are made for")
    frames: int = Field(default=8, ge=1, le=1024, description="frames that embeddings of time are made for")
    drop_path: float = Field(default=0.1, ge=0, lt=1, description="rate of the last block; the first has 0")
    gradient_checkpointing: bool = Field(
        default=False, description="keep no activations inside blocks but compute them again: less memory, more time"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Clips of the size that embeddings are made for."""
        return (3, self.frames, self.size_px, self.size_px)


class TimeSformerOptions(TimeSformerFamily):
    """8 frames of 224 px."""

    kind: Literal["timesformer_base"]


class TimeSformerHROptions(TimeSformerFamily):
    """More and larger frames."""

    kind: Literal["timesformer_hr"]
    size_px: int = Field(default=448, ge=1, description="side of the frames that embeddings of position are made for")
    frames: int = Field(default=16, ge=1, le=1024, description="frames that embeddings of time are made for")


class TimeSformerLOptions(TimeSformerFamily):
    """Long clips."""

    kind: Literal["timesformer_l"]
    frames: int = Field(default=96, ge=1, le=1024, description="frames that embeddings of time are made for")


class HorNetFamily(ModelOptions):
    """Hierarchical backbone of gated convolutions, 7x7 or global; the defaults are those of HorNet-T."""

    eats = "image"
    width: int = Field(
        default=64,
        ge=4,
        le=1024,
        multiple_of=4,
        description="channels of the first stage; the later ones have 2, 4, 8 times it",
    )
    depths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(
        default=(2, 3, 18, 2), description="blocks of the four stages"
    )
    size_px: int = Field(default=224, ge=1, description="side of the images that global filters are made for")
    patch_px: int = Field(default=4, ge=1, description="side of the stem's patches; smaller for small images")
    drop_path: float = Field(default=0.2, ge=0, lt=1, description="rate of the last block; the first has 0")
    gradient_checkpointing: bool = Field(
        default=False, description="keep no activations inside blocks but compute them again: less memory, more time"
    )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Images of the size that global filters are made for."""
        return (3, self.size_px, self.size_px)


class HorNetOptions(HorNetFamily):
    """HorNet-T."""

    kind: Literal["hornet_tiny_7x7", "hornet_tiny_gf"]


class HorNetSmallOptions(HorNetFamily):
    """HorNet-S."""

    kind: Literal["hornet_small_7x7", "hornet_small_gf"]
    width: int = Field(default=96, ge=4, le=1024, multiple_of=4)
    drop_path: float = Field(default=0.4, ge=0, lt=1)


class HorNetBaseOptions(HorNetFamily):
    """HorNet-B."""

    kind: Literal["hornet_base_7x7", "hornet_base_gf"]
    width: int = Field(default=128, ge=4, le=1024, multiple_of=4)
    drop_path: float = Field(default=0.5, ge=0, lt=1)


class HorNetLargeOptions(HorNetFamily):
    """HorNet-L."""

    kind: Literal["hornet_large_7x7", "hornet_large_gf"]
    width: int = Field(default=192, ge=4, le=1024, multiple_of=4)
    drop_path: float = Field(default=0.5, ge=0, lt=1)


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
    "mobilenetv2": MobileNetV2Options,
    "tsn_mobilenetv2": TSNMobileNetV2Options,
    "tsm_mobilenetv2": TSMMobileNetV2Options,
    "timesformer_base": TimeSformerOptions,
    "timesformer_hr": TimeSformerHROptions,
    "timesformer_l": TimeSformerLOptions,
    "hornet_tiny_7x7": HorNetOptions,
    "hornet_tiny_gf": HorNetOptions,
    "hornet_small_7x7": HorNetSmallOptions,
    "hornet_small_gf": HorNetSmallOptions,
    "hornet_base_7x7": HorNetBaseOptions,
    "hornet_base_gf": HorNetBaseOptions,
    "hornet_large_7x7": HorNetLargeOptions,
    "hornet_large_gf": HorNetLargeOptions,
}
