"""Population based augmentation: which operations happen changes over the epochs, by a schedule."""

from typing import Any

from albumentations.core.transforms_interface import BaseTransformInitSchema

from augment.erase import GREY, Fill
from augment.magnitudes import argument
from augment.operations import Step, Steps
from augment.policy import MAX_MAGNITUDE, PolicyStep, load_schedule

_COUNTS, _WEIGHTS = (0, 1, 2), (0.2, 0.3, 0.5)


class PopulationBased(Steps):
    """Draw how many operations happen, then which (Ho et al. 2019, "Population Based Augmentation", algorithm 1).

    `schedule` is the path of a schedule file, or the list itself. 0, 1 or 2 operations happen, with chances of 0.2, 0.3
    and 0.5: those of the epoch are tried in a drawn order, each with its own probability, until so many have happened.
    """

    class InitSchema(BaseTransformInitSchema):
        """Checks of the parameters."""

        schedule: str | list[Any]
        fill: Fill
        fill_mask: float

    def __init__(self, schedule: str | list[Any], fill: Fill = GREY, fill_mask: float = 0, p: float = 1.0) -> None:
        super().__init__(fill=fill, fill_mask=fill_mask, p=p)
        self.schedule = load_schedule(schedule)
        self.epoch = 0

    @property
    def drawn_from(self) -> list[PolicyStep]:
        """The operations of the epoch."""
        return [steps for epoch, steps in self.schedule if epoch <= self.epoch][-1]

    def draw(self, height: int, width: int) -> list[Step]:
        """Draw at most two steps."""
        (left,) = self.py_random.choices(_COUNTS, _WEIGHTS)
        tried = list(self.drawn_from)
        self.py_random.shuffle(tried)
        steps: list[Step] = []
        for name, probability, magnitude in tried:
            if len(steps) == left:
                break
            if self.py_random.random() < probability:
                strength, sign = (magnitude or 0) / MAX_MAGNITUDE, self.py_random.choice((1, -1))
                steps.append(self.step(name, argument(name, strength, sign, height, width), height, width))
        return steps
