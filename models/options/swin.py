"""Options of Swin."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from models.options.staged import StagedFamily

if TYPE_CHECKING:
    from torch import nn


class SwinFamily(StagedFamily):
    """Hierarchical transformer of attention in windows of 7 x 7 places, every second time between them."""

    width: int = Field(
        default=96,
        ge=4,
        le=1024,
        description="channels of the first stage, a multiple of heads; the later ones have 2, 4, 8 times it",
    )
    heads: int = Field(default=3, ge=1, le=128, description="of the first stage; the later ones have 2, 4, 8 times it")
    depths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(
        default=(2, 2, 18, 2), description="blocks of the four stages"
    )

    def valid_side(self, px: int) -> int:
        """See `ModelOptions.valid_side`: one patch; windows are filled up."""
        return max(px, self.patch_px)


class SwinTiny(SwinFamily):
    """Sizes of Swin-T."""

    depths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(default=(2, 2, 6, 2))


class SwinSmall(SwinFamily):
    """Sizes of Swin-S."""

    drop_path: float = Field(default=0.3, ge=0, lt=1)


class SwinBase(SwinFamily):
    """Sizes of Swin-B."""

    width: int = Field(default=128, ge=4, le=1024)
    heads: int = Field(default=4, ge=1, le=128)
    drop_path: float = Field(default=0.5, ge=0, lt=1)


class SwinClassifier(SwinFamily):
    """What all classifiers are built by."""

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.swin import Swin

        return Swin(num_classes=num_classes, **self.arguments())


class SwinTOptions(SwinTiny, SwinClassifier):
    """Swin-T: attention in windows of 7 x 7 places, every second time between them."""

    kind: Literal["swin_t"]


class SwinSOptions(SwinSmall, SwinClassifier):
    """Swin-S."""

    kind: Literal["swin_s"]


class SwinBOptions(SwinBase, SwinClassifier):
    """Swin-B."""

    kind: Literal["swin_b"]
