"""The kinds of `train.sampling`, one model a kind."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PositiveFloat

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.recipe.duration import Length, parse
from pipeline.recipe.section import Section


def _samples(value: Any) -> Length:
    length = parse(value)
    if length.unit != "sa" or length.amount < 1:
        raise ValueError(f"{length} is no number of samples; write it as 50000sa, 300ksa or 1.2Msa")
    return length


def _some_positive(weights: dict[str, float]) -> dict[str, float]:
    if not weights:
        raise ValueError("names no class; write {class: weight, ...}")
    return weights


Samples = Annotated[Length, BeforeValidator(_samples), PlainSerializer(str, return_type=str)]


class AllSamples(Section):
    """Every sample once an epoch."""

    kind: Literal["all"] = "all"


class Drawn(Section):
    """Samples of an epoch come as often as a rule says."""

    epoch: Samples | None = None
    """How long an epoch is, in samples: `1.2Msa`. By default as many as the training split has."""


class Balanced(Drawn):
    """The same number of samples of every class. In an epoch each sample comes its expected number of times, rounded
    down or up; those of a class take turns over the epochs. A sample of several classes, as in segmentation and in
    multi-label tasks, counts for the rarest of them; those without any are one class more.
    """

    kind: Literal["balanced"]


class Weighted(Drawn):
    """Samples come as often as their class weighs; otherwise as `balanced`."""

    kind: Literal["weighted"]
    classes: Annotated[dict[str, Annotated[float, Field(ge=0)]], AfterValidator(_some_positive)]
    """How often a sample of a class comes, relative to one of a class that is not named, which weighs 1. 0: never."""


class Shares(Drawn):
    """Of each source of a mixture a share of every batch, within a sample or two. Each source is gone through in an
    order of its own, again and again; epochs follow each other without a rest.
    """

    kind: Literal["shares"]
    of: dict[str, PositiveFloat]
    """The share of each source by its name in `data.source.of`, relative to the sum of them."""


Sampling = AllSamples | Balanced | Weighted | Shares


def epoch_samples(sampling: Sampling, samples: int) -> int:
    """Return samples of an epoch over a training split of so many."""
    if isinstance(sampling, AllSamples) or sampling.epoch is None:
        return samples
    return int(sampling.epoch.amount)


def class_weights(sampling: Weighted, classes: Sequence[str]) -> list[Fraction]:
    """Return the weight of each class. ZoetropeError, naming the nearest, for a name that is no class."""
    for name in sampling.classes:
        if name not in classes:
            raise ZoetropeError(f"train.sampling.classes: {unknown('class', name, classes)}")
    return [Fraction(str(sampling.classes.get(name, 1.0))) for name in classes]
