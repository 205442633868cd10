"""Options of the searches for an augmentation policy, `tune: {policy: {kind: ...}}`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from pipeline.recipe.duration import Duration, parse
from pipeline.recipe.section import Section

_Share = Annotated[float, Field(gt=0, lt=1)]
_Magnitude = Annotated[float, Field(ge=0, le=30)]


class FastAutoAugment(Section):
    """Fast AutoAugment: policies are scored by a model that saw no augmentation; nothing is trained for a candidate."""

    kind: Literal["fast"]
    folds: Annotated[int, Field(ge=1, le=100)] = 5
    """Searches, each with a part of the training samples held out and a model trained on the others."""
    held_out: _Share = 0.4
    """The part of each class that a fold holds out."""
    score: Literal["held_out", "val"] = "held_out"
    """The samples that candidates are scored on. `val` finds what makes training samples look like those of the
    validation split; then measure on others."""
    candidates: PositiveInt = 200
    """Policies that are scored in a fold."""
    keep: PositiveInt = 10
    """Of these the best are kept; what all folds keep is the policy."""
    sub_policies: Annotated[int, Field(ge=1, le=25)] = 5
    """Of a candidate."""
    operations: Annotated[int, Field(ge=1, le=10)] = 2
    """Of a sub-policy, one after the other."""
    samples: PositiveInt = 1000
    """Samples that a candidate is scored on, at most; they lie in memory."""


class RandAugmentSearch(Section):
    """A grid over RandAugment's two numbers."""

    kind: Literal["randaugment"]
    operations: Annotated[list[Annotated[int, Field(ge=1, le=20)]], Field(min_length=1)] = Field(default=[1, 2, 3])
    """Numbers of operations to try."""
    magnitude: Annotated[list[_Magnitude], Field(min_length=1)] = Field(default=[5, 9, 13])
    """Magnitudes to try, 0..30, each with each number of operations."""


class AutoAugmentSearch(Section):
    """AutoAugment: a model is trained for every candidate, which TPE proposes in place of the paper's controller."""

    kind: Literal["autoaugment"]
    candidates: PositiveInt = 50
    """Policies that are tried, each by a training of its own."""
    duration: Duration
    """How long such a training is; the recipe's own is `train.duration`."""
    keep: PositiveInt = 5
    """The best so many are put together."""
    sub_policies: Annotated[int, Field(ge=1, le=25)] = 5
    """Of a candidate."""
    operations: Annotated[int, Field(ge=1, le=10)] = 2
    """Of a sub-policy, one after the other."""


class PopulationSearch(Section):
    """Population based augmentation: trainings side by side; the worst go on from the best, with a changed policy."""

    kind: Literal["pba"]
    population: Annotated[int, Field(ge=2)] = 16
    """Trainings at the same time; with fewer GPUs or CPUs they take turns."""
    interval: Duration = parse("3ep")
    """How often they are compared. The best quarter takes the place of the worst."""


Policy = FastAutoAugment | RandAugmentSearch | AutoAugmentSearch | PopulationSearch
