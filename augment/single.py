"""Operations of the AutoAugment family one by one, where albumentations has none that computes the same.

It has `Rotate`, `Solarize`, `Posterize` and `InvertImg`. Its `Equalize` and `AutoContrast` do not give Pillow's values,
in any mode, so these two stand here under names that say so.
"""

from typing import Annotated

from albumentations.core.transforms_interface import BaseTransformInitSchema
from pydantic import AfterValidator, Field

from augment.erase import GREY, Fill, ordered
from augment.operations import Step, Steps

Share = Annotated[float, Field(ge=-1, le=1)]
Factor = Annotated[float, Field(ge=0, le=10)]


class _Shift(Steps):
    """A geometric operation whose argument is drawn uniformly from `limits`."""

    class InitSchema(BaseTransformInitSchema):
        """Checks of the parameters."""

        limits: Annotated[tuple[Share, Share], AfterValidator(ordered)]
        fill: Fill
        fill_mask: float

    def __init__(
        self, limits: tuple[float, float] = (-0.3, 0.3), fill: Fill = GREY, fill_mask: float = 0, p: float = 0.5
    ) -> None:
        super().__init__(fill=fill, fill_mask=fill_mask, p=p)
        self.limits = limits

    def draw(self, height: int, width: int) -> list[Step]:
        return [Step(type(self).__name__, self.py_random.uniform(*self.limits) * self.unit(height, width))]

    def unit(self, height: int, width: int) -> float:
        return 1


class ShearX(_Shift):
    """Shift the rows against each other; `limits` are slopes."""


class ShearY(_Shift):
    """Shift the columns against each other; `limits` are slopes."""


class TranslateX(_Shift):
    """Move right; `limits` are shares of the width."""

    def unit(self, height: int, width: int) -> float:
        return width


class TranslateY(_Shift):
    """Move down; `limits` are shares of the height."""

    def unit(self, height: int, width: int) -> float:
        return height


class _Enhance(Steps):
    """A blend whose factor is drawn uniformly from `limits`; 1 changes nothing."""

    class InitSchema(BaseTransformInitSchema):
        """Checks of the parameters."""

        limits: Annotated[tuple[Factor, Factor], AfterValidator(ordered)]

    def __init__(self, limits: tuple[float, float] = (0.1, 1.9), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.limits = limits

    def draw(self, height: int, width: int) -> list[Step]:
        return [Step(type(self).__name__, self.py_random.uniform(*self.limits))]


class Brightness(_Enhance):
    """Blend with black."""


class Contrast(_Enhance):
    """Blend with the mean grey of the frame."""


class Color(_Enhance):
    """Blend with the grey picture."""


class Sharpness(_Enhance):
    """Blend with the smoothed picture."""


class _Fixed(Steps):
    """An operation that has no argument."""

    class InitSchema(BaseTransformInitSchema):
        """Checks of the parameters."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p=p)

    def draw(self, height: int, width: int) -> list[Step]:
        return [Step(type(self).__name__.removeprefix("Pillow"), 0)]


class PillowEqualize(_Fixed):
    """Flatten each channel's histogram as Pillow and AutoAugment do."""


class PillowAutoContrast(_Fixed):
    """Stretch each channel to 0..255 as Pillow and AutoAugment do."""
