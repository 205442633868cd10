"""Population based augmentation (Ho et al. 2019): a schedule of operations, found while a population trains.

A trial's policy is 60 whole numbers: two copies of the 15 operations, each with a probability of 0..10 tenths and a
magnitude of 0..9. All begin with zeros, which change nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from augment.magnitudes import MAGNITUDES
from augment.policy import MAX_MAGNITUDE, PolicyStep, Schedule, load_schedule
from pipeline.base.keyed import generator
from pipeline.recipe import Recipe
from tune.policy.recipes import Transform, kept, with_transform
from tune.policy.space import OPERATIONS

COPIES = 2
TENTHS = 10
RESAMPLED = 0.2
FARTHEST = 3
TRAIN = "augment.train"

Numbers = list[int]
"""Probability and magnitude in turns: even places hold a probability."""


def most(place: int) -> int:
    """Return the largest number at a place."""
    return MAX_MAGNITUDE if place % 2 else TENTHS


def explore(numbers: Numbers, rng: np.random.Generator) -> Numbers:
    """Return each number drawn anew (one in five), or moved by 0 to 3 up or down; the authors' `explore`."""
    moved = []
    for place, number in enumerate(numbers):
        if rng.random() < RESAMPLED:
            moved.append(int(rng.integers(most(place) + 1)))
        else:
            by = int(rng.integers(FARTHEST + 1)) * (1 if rng.random() < 0.5 else -1)
            moved.append(min(max(number + by, 0), most(place)))
    return moved


def steps_of(numbers: Sequence[int]) -> list[PolicyStep]:
    """Return the operations that 60 numbers stand for."""
    steps: list[PolicyStep] = []
    for name, probability, magnitude in zip(OPERATIONS * COPIES, numbers[::2], numbers[1::2], strict=True):
        steps.append((name, probability / TENTHS, None if MAGNITUDES[name] is None else magnitude))
    return steps


def numbers_of(steps: Sequence[PolicyStep]) -> Numbers:
    """Return the 60 numbers that give these operations; 0 where there is no magnitude."""
    return [
        number for _, probability, magnitude in steps for number in (round(probability * TENTHS), int(magnitude or 0))
    ]


def transform(recipe: Recipe, schedule: Schedule) -> Transform:
    """Return the transform that goes by `schedule`, with the parameters that the recipe's own has."""
    listed = [[epoch, [list(step) for step in steps]] for epoch, steps in schedule]
    return {"PopulationBased": {"schedule": listed, **kept(recipe)}}


def point(recipe: Recipe, numbers: Numbers) -> dict[str, Any]:
    """Return the values of a trial that trains with these numbers."""
    return {TRAIN: with_transform(recipe, transform(recipe, [(0, steps_of(numbers))])).augment.train}


def explored(recipe: Recipe, values: Mapping[str, Any], number: int, count: int) -> dict[str, Any]:
    """Return what trial `number` goes on with when it is replaced for the `count`-th time by
    one that trained `values`.
    """
    return point(recipe, explore(numbers_of(steps_in(values)), generator(recipe.seed, "pba", number, count)))


def steps_in(values: Mapping[str, Any]) -> list[PolicyStep]:
    """Return the operations of a trial."""
    held = next(each["PopulationBased"]["schedule"] for each in values[TRAIN] if "PopulationBased" in each)
    return load_schedule(held)[0][1]


def schedule_of(history: Sequence[Mapping[str, Any]]) -> Schedule:
    """Return what the weights of a trial came by: its values from an epoch on; what lasted no time is left out."""
    by_epoch = {float(entry["epoch"]): steps_in(entry["values"]) for entry in history}
    return sorted(by_epoch.items())
