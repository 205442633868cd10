"""Options of HorNet."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from models.options.staged import StagedFamily

if TYPE_CHECKING:
    from torch import nn


class HorNetFamily(StagedFamily):
    """Hierarchical backbone of gated convolutions, 7x7 or global; the defaults are those of HorNet-T."""

    late = StagedFamily.late | {"orders", "kernel", "scale"}
    orders: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(
        default=(2, 3, 4, 5),
        description="how often the gated convolutions of each stage multiply; n needs channels that 2^(n-1) divides",
    )
    kernel: Literal[3, 5, 7, 9, 11, 13] = Field(
        default=7, description="places on a side of the depth-wise convolutions, where there is no global filter"
    )
    scale: float = Field(
        default=1 / 3, gt=0, description="of what the gated convolutions multiply by, so that products stay small"
    )
    size_px: int = Field(default=224, ge=1, description="side of the images that global filters are made for")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Images of the size that global filters are made for."""
        return (self.in_channels, self.size_px, self.size_px)


class HorNetTiny(HorNetFamily):
    """Sizes of HorNet-T."""


class HorNetSmall(HorNetFamily):
    """Sizes of HorNet-S."""

    width: int = Field(default=96, ge=4, le=1024, multiple_of=4)
    drop_path: float = Field(default=0.4, ge=0, lt=1)


class HorNetBase(HorNetFamily):
    """Sizes of HorNet-B."""

    width: int = Field(default=128, ge=4, le=1024, multiple_of=4)
    drop_path: float = Field(default=0.5, ge=0, lt=1)


class HorNetLarge(HorNetFamily):
    """Sizes of HorNet-L."""

    width: int = Field(default=192, ge=4, le=1024, multiple_of=4)
    drop_path: float = Field(default=0.5, ge=0, lt=1)


class HorNetClassifier(HorNetFamily):
    """What all classifiers are built by."""

    def build(self, num_classes: int) -> "nn.Module":
        """See `ModelOptions.build`."""
        from models.hornet import HorNet

        return HorNet(num_classes=num_classes, global_filter=self.kind.endswith("_gf"), **self.arguments())


class HorNetOptions(HorNetTiny, HorNetClassifier):
    """HorNet-T."""

    kind: Literal["hornet_tiny_7x7", "hornet_tiny_gf"]


class HorNetSmallOptions(HorNetSmall, HorNetClassifier):
    """HorNet-S."""

    kind: Literal["hornet_small_7x7", "hornet_small_gf"]


class HorNetBaseOptions(HorNetBase, HorNetClassifier):
    """HorNet-B."""

    kind: Literal["hornet_base_7x7", "hornet_base_gf"]


class HorNetLargeOptions(HorNetLarge, HorNetClassifier):
    """HorNet-L."""

    kind: Literal["hornet_large_7x7", "hornet_large_gf"]
