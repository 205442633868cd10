"""What a recipe's `schedule:` may say."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator

from pipeline.recipe.duration import Share, parse
from pipeline.recipe.section import Fraction, Section


class ScheduleOptions(Section):
    """Warm-up, which every schedule begins with."""

    late = frozenset({"warmup_until", "warmup_biases", "warmup_momentum"})

    warmup: Share = parse("0%")
    """How long the learning rate is small at the start."""
    warmup_shape: Literal["gradual", "constant"] = "gradual"
    """`gradual`: it grows linearly, a step at a time. `constant`: it stays at `warmup_from`, then jumps."""
    warmup_from: Fraction | None = None
    """Where the warm-up starts, as a share of the peak; by default one step's growth, and 0.1 if it is `constant`."""
    warmup_until: dict[str, float] = Field(default={})
    """A constant warm-up ends once the training batches measure this well: `{train/top1: 0.2}` is a training error
    below 80 %, as of ResNet-110 on CIFAR-10 (He et al. 2016, section 4.2). It is looked at as it is logged, every 10
    steps and at each checkpoint; several metrics must be reached together. `warmup`, where it is set, is then the
    longest that it lasts."""
    warmup_biases: PositiveFloat | None = None
    """Where biases begin the warm-up, as a multiple of the peak, to which they then fall linearly: 10 is YOLOv5's. By
    default they are warmed up as the rest is."""
    warmup_momentum: Fraction | None = None
    """Where the optimizer's momentum begins the warm-up, from which it grows linearly: 0.8 is YOLOv5's. By default it
    stays as it is."""

    @model_validator(mode="before")
    @classmethod
    def _constant(cls, values: Any) -> Any:
        until = isinstance(values, dict) and values.get("warmup_until")
        return {"warmup_shape": "constant", **values} if until else values

    @model_validator(mode="after")
    def _is_constant(self) -> "ScheduleOptions":
        if self.warmup_until and self.warmup_shape != "constant":
            raise ValueError(
                "warmup_until ends a constant warm-up, since nobody knows how fast one of unknown length should grow; "
                "set warmup_shape to constant, or leave it out"
            )
        return self


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


class Plateau(ScheduleOptions):
    """Warm-up, then the same learning rate, multiplied with `factor` whenever a metric of the validation, which is
    measured every `train.evaluate`, has not become better for a while; as torch's ReduceLROnPlateau.
    """

    kind: Literal["plateau"]
    metric: str | None = None
    """Such as `val/loss`; by default the task's headline metric (`val/top1`, `val/mAP`). Whether it should grow or fall
    is known."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What the learning rate is multiplied with."""
    patience: NonNegativeInt = 10
    """Validations in a row without a better value that change nothing; the next one does. Those of the warm-up do not
    count."""
    threshold: Annotated[float, Field(ge=0)] = 1e-4
    """By which share of the best value another must differ from it to be better."""
    final: Fraction = 0.0
    """Where it no longer falls, as a share of the peak."""


Schedule = Annotated[Cosine | Polynomial | Step | Constant | Plateau, Field(discriminator="kind")]
