"""Options of ConvNeXt."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from models.options.staged import StagedFamily

if TYPE_CHECKING:
    from torch import nn


class ConvNeXtFamily(StagedFamily):
    """Hierarchical backbone of depth-wise 7x7 convolutions; sides of inputs have 8 patches or more."""

    width: int = Field(
        default=96, ge=4, le=1024, description="channels of the first stage; the later ones have 2, 4, 8 times it"
    )
    depths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(
        default=(3, 3, 27, 3), description="blocks of the four stages"
    )
    drop_path: float = Field(default=0.5, ge=0, lt=1, description="rate of the last block; the first has 0")

    def valid_side(self, px: int) -> int:
        """See `ModelOptions.valid_side`: three times a stage halves it."""
        return max(px, 8 * self.patch_px)


class ConvNeXtTiny(ConvNeXtFamily):
    """Sizes of ConvNeXt-T."""

    depths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(default=(3, 3, 9, 3))
    drop_path: float = Field(default=0.1, ge=0, lt=1)


class ConvNeXtSmall(ConvNeXtFamily):
    """Sizes of ConvNeXt-S."""

    drop_path: float = Field(default=0.4, ge=0, lt=1)


class ConvNeXtBase(ConvNeXtFamily):
    """Sizes of ConvNeXt-B."""

    width: int = Field(default=128, ge=4, le=1024)


class ConvNeXtLarge(ConvNeXtFamily):
    """Sizes of ConvNeXt-L."""

    width: int = Field(default=192, ge=4, le=1024)


class ConvNeXtClassifier(ConvNeXtFamily):
    """What all classifiers are built by."""

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.convnext import ConvNeXt

        return ConvNeXt(num_classes=num_classes, **self.arguments())


class ConvNeXtTinyOptions(ConvNeXtTiny, ConvNeXtClassifier):
    """ConvNeXt-T: depth-wise 7x7 convolutions; sides of inputs have 8 patches or more."""

    kind: Literal["convnext_tiny"]


class ConvNeXtSmallOptions(ConvNeXtSmall, ConvNeXtClassifier):
    """ConvNeXt-S."""

    kind: Literal["convnext_small"]


class ConvNeXtBaseOptions(ConvNeXtBase, ConvNeXtClassifier):
    """ConvNeXt-B."""

    kind: Literal["convnext_base"]


class ConvNeXtLargeOptions(ConvNeXtLarge, ConvNeXtClassifier):
    """ConvNeXt-L."""

    kind: Literal["convnext_large"]
