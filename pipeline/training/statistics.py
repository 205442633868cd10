"""`augment.mean: measure`: mean and standard deviation of the data set's channels, as an evaluation sees its pixels.

`model.anchors: measure` is kept beside them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.base.errors import ZoetropeError
from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset
from pipeline.training import anchors

MOST = 1000
"""Samples that are measured: the mean of so many is off by a thirtieth of what one picture is."""
DIGITS = 6
KEYS = ("mean", "std")
ANCHORS = "anchors"
Statistics = Mapping[str, Sequence[Any]]
"""Of `KEYS`, a number a channel, as shares of the highest level; and `ANCHORS`, see `pipeline.training.anchors`."""
Progress = Callable[[float, float, str], None]


def asked(recipe: Recipe) -> bool:
    """Tell whether a recipe leaves its mean or its standard deviation, or anchors, to be measured."""
    return _colours_asked(recipe) or anchors.asked(recipe)


def measured(recipe: Recipe, dataset: Dataset, progress: Progress) -> dict[str, list[Any]]:
    """Measure what a recipe asks for. ZoetropeError when nothing of the data can be used."""
    found: dict[str, list[Any]] = {}
    if _colours_asked(recipe):
        found |= colours(recipe, dataset, progress)
    if anchors.asked(recipe):
        found[ANCHORS] = anchors.measured(recipe, dataset, progress)
    return found


def colours(recipe: Recipe, dataset: Dataset, progress: Progress) -> dict[str, list[float]]:
    """Measure the training samples, up to `MOST` that are evenly spread over them, each as `augment.eval` makes it.

    The standard deviation is that of all pixels together. A channel that is the same everywhere, such as an alpha
    without any, gets 1. Samples that cannot be used are passed over; ZoetropeError when none can.
    """
    from pipeline.feed.views import ViewMaker
    from pipeline.shards.reader import ShardReader

    split, reader = dataset.split("train"), ShardReader(dataset.files, "train")
    views = ViewMaker(recipe, training=False, known=False)
    chosen = np.unique(np.linspace(0, split.samples - 1, MOST).astype(int)).tolist()
    white, channels = recipe.data.bands.white, recipe.data.channels
    pixels, sums, squares = 0, np.zeros(channels), np.zeros(channels)
    for done, sample in enumerate(chosen, 1):
        raw = reader.read(*split.place(sample))
        try:
            levels = views(raw.data, raw.frames).reshape(-1, channels) / white
        except Exception:  # decoders and transforms raise whatever broken data makes them; the training tells of it
            continue
        pixels, sums, squares = pixels + len(levels), sums + levels.sum(0), squares + np.square(levels).sum(0)
        progress(done, len(chosen), "samples measured")
    if not pixels:
        raise ZoetropeError(
            "augment.mean: none of the training samples can be used, so nothing can be measured; `python -m pipeline "
            "preview` says what is wrong with them"
        )
    mean = sums / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    std[std < 0.5 / white] = 1
    return {"mean": mean.round(DIGITS).tolist(), "std": std.round(DIGITS).tolist()}


def with_statistics(recipe: Recipe, found: Statistics | None) -> Recipe:
    """Return the recipe with numbers where it says `measure`; as it is for None."""
    if found is None:
        return recipe
    numbers = {key: list(found[key]) for key in KEYS if isinstance(getattr(recipe.augment, key), str)}
    made = recipe.model_copy(update={"augment": recipe.augment.model_copy(update=numbers)})
    if not anchors.asked(recipe):
        return made
    levels = tuple(tuple(map(tuple, level)) for level in found[ANCHORS])
    return made.model_copy(update={"model": recipe.model.model_copy(update={ANCHORS: levels})})


def words(found: Statistics) -> str:
    """Say what was measured."""
    said = [f"augment.{key} is {[round(number, 3) for number in found[key]]}" for key in KEYS if key in found]
    return ", ".join([*said, *([f"model.anchors is {found[ANCHORS]}"] if ANCHORS in found else [])])


def _colours_asked(recipe: Recipe) -> bool:
    return any(isinstance(getattr(recipe.augment, key), str) for key in KEYS)
