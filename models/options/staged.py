"""Options of hierarchical backbones."""

from pydantic import Field, PositiveInt

from models.options.base import ModelOptions


class StagedFamily(ModelOptions):
    """What ConvNeXt, HorNet and Swin can choose."""

    eats = "image"
    late = frozenset({"in_channels"})
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB, 1 for grey; as data.channels")
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
    patch_px: int = Field(default=4, ge=1, description="side of the stem's patches; smaller for small images")
    drop_path: float = Field(default=0.2, ge=0, lt=1, description="rate of the last block; the first has 0")
    gradient_checkpointing: bool = Field(
        default=False, description="keep no activations inside blocks but compute them again: less memory, more time"
    )
