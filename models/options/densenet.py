"""Options of DenseNet."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.options.base import ModelOptions

if TYPE_CHECKING:
    from torch import nn


class DenseNetFamily(ModelOptions):
    """What all sizes can choose."""

    eats = "image"
    width: int = Field(
        default=64,
        ge=4,
        le=1024,
        multiple_of=2,
        description="channels of the first convolution; every layer adds half of them",
    )
    in_channels: int = Field(default=3, ge=1, le=1024, description="3 for RGB")
    gradient_checkpointing: bool = Field(
        default=False, description="keep no activations inside layers but compute them again: less memory, more time"
    )

    def valid_side(self, px: int) -> int:
        """See `ModelOptions.valid_side`."""
        return max(px, 29)

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.densenet import DenseNet

        return DenseNet(int(self.kind.removeprefix("densenet")), num_classes=num_classes, **self.arguments())


class DenseNetOptions(DenseNetFamily):
    """Blocks whose layers see all before them, as torchvision has them; sides of inputs have 29 px or more."""

    kind: Literal["densenet121", "densenet169", "densenet201"]


class DenseNet161Options(DenseNetFamily):
    """The same, wider."""

    kind: Literal["densenet161"]
    width: int = Field(
        default=96,
        ge=4,
        le=1024,
        multiple_of=2,
        description="channels of the first convolution; every layer adds half of them",
    )
