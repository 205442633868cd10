"""What a recipe's `schedule:` may say."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from pipeline.recipe.duration import Share, parse
from pipeline.recipe.section import Fraction, Section


class ScheduleOptions(Section):
    """Warm-up, which every schedule begins with."""

    warmup: Share = parse("0%")
    """How long the learning rate is small at the start."""
    warmup_shape: Literal["gradual", "constant"] = "gradual"
    """`gradual`: it grows linearly, a step at a time. `constant`: it stays at `warmup_from`, then jumps."""
    warmup_from: Fraction | None = None
    """Where the warm-up starts, as a share of the peak; by default one step's growth, and 0.1 if it is `constant`."""


class Cosine(ScheduleOptions):
    """Warm-up, then half a cosine down."""

    kind: Literal["cosine"]
    final: Fraction = 0.0
    """Where it ends, as a share of the peak."""


class Polynomial(ScheduleOptions):
    """Warm-up, then (1 - progress) ** power, as DeepLab has it."""

    kind: Literal["polynomial"]
    power: PositiveFloat = 0.9
    """1 is a straight line."""
    final: Fraction = 0.0
    """Where it ends, as a share of the peak."""


class Step(ScheduleOptions):
    """Warm-up, then the same learning rate, multiplied with `factor` at each point of `at`."""

    kind: Literal["step"]
    at: Annotated[list[Share], Field(min_length=1)]
    """Counted from the start of the training, warm-up included: `[30ep, 60ep, 80ep]`."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What the learning rate is multiplied with."""


class Constant(ScheduleOptions):
    """Warm-up, then the same learning rate to the end."""

    kind: Literal["constant"]


Schedule = Annotated[Cosine | Polynomial | Step | Constant, Field(discriminator="kind")]
