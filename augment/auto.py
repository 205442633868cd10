"""AutoAugment, RandAugment and TrivialAugment, in recipes `{AutoAugment: {policy: cifar10}}` and the like."""

from typing import Annotated, Any

from albumentations.core.transforms_interface import BaseTransformInitSchema
from pydantic import Field

from augment.erase import GREY, Fill
from augment.magnitudes import CHOICES, argument
from augment.operations import Step, Steps
from augment.policy import MAX_MAGNITUDE, load_policy

_BINS = 31
"""RandAugment and TrivialAugment count magnitudes 0 to 30."""


class AutoAugment(Steps):
    """Draw one sub-policy of a policy; each of its operations happens with its own probability (Cubuk et al. 2019).

    `policy` is `imagenet`, `cifar10`, `svhn`, the path of a policy file, or the list itself.
    """

    class InitSchema(BaseTransformInitSchema):
        """Checks of the parameters."""

        policy: str | list[Any]
        fill: Fill
        fill_mask: float

    def __init__(self, policy: str | list[Any], fill: Fill = GREY, fill_mask: float = 0, p: float = 1.0) -> None:
        super().__init__(fill=fill, fill_mask=fill_mask, p=p)
        self.policy = load_policy(policy)

    def draw(self, height: int, width: int) -> list[Step]:
        """Draw the steps of one sub-policy that happen."""
        steps = []
        for name, probability, magnitude in self.py_random.choice(self.policy):
            if self.py_random.random() < probability:
                strength = (magnitude or 0) / MAX_MAGNITUDE
                value = argument(name, strength, self.py_random.choice((1, -1)), height, width)
                steps.append(self.step(name, value, height, width))
        return steps


class RandAugment(Steps):
    """Draw `operations` operations, all of one `magnitude` 0..30 (Cubuk et al. 2020, with torchvision's magnitudes)."""

    class InitSchema(BaseTransformInitSchema):
        """Checks of the parameters."""

        operations: Annotated[int, Field(ge=1, le=20)]
        magnitude: Annotated[float, Field(ge=0, lt=_BINS)]
        fill: Fill
        fill_mask: float

    def __init__(
        self, operations: int = 2, magnitude: float = 9, fill: Fill = GREY, fill_mask: float = 0, p: float = 1.0
    ) -> None:
        super().__init__(fill=fill, fill_mask=fill_mask, p=p)
        self.operations = operations
        self.magnitude = magnitude

    def draw(self, height: int, width: int) -> list[Step]:
        """Draw steps, each from all operations, so that one may come again; one of the choices does nothing."""
        steps = []
        for name in self.py_random.choices(CHOICES, k=self.operations):
            if name is not None:
                strength, sign = self.magnitude / (_BINS - 1), self.py_random.choice((1, -1))
                steps.append(self.step(name, argument(name, strength, sign, height, width), height, width))
        return steps


class TrivialAugment(Steps):
    """Draw one operation and its magnitude, from a wide space (Mueller and Hutter 2021; torchvision's `...Wide`)."""

    class InitSchema(BaseTransformInitSchema):
        """Checks of the parameters."""

        fill: Fill
        fill_mask: float

    def __init__(self, fill: Fill = GREY, fill_mask: float = 0, p: float = 1.0) -> None:
        super().__init__(fill=fill, fill_mask=fill_mask, p=p)

    def draw(self, height: int, width: int) -> list[Step]:
        """Draw at most one step; one of the choices does nothing."""
        name = self.py_random.choice(CHOICES)
        if name is None:
            return []
        strength, sign = self.py_random.randrange(_BINS) / (_BINS - 1), self.py_random.choice((1, -1))
        return [self.step(name, argument(name, strength, sign, height, width, wide=True), height, width)]
