"""Options of TimeSformer."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions

if TYPE_CHECKING:
    from torch import nn


class TimeSformerFamily(ModelOptions):
    """Vision transformer on clips; the defaults are those of the 8-frame model."""

    eats = "video"
    attention: Literal[
        "space_only", "joint_space_time", "divided_space_time", "divided_space_time_cls", "local_global", "axial"
    ] = Field(
        default="divided_space_time",
        description="the paper's S, ST, T+S as released and with the class token among the keys of time as in the "
        "paper's equations, L+G and T+W+H",
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

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.timesformer import TimeSformer

        return TimeSformer(num_classes=num_classes, **self.arguments())


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
