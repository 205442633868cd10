"""`tune`: what `python -m tune` searches over, and how. A run ignores it."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, PositiveInt, model_validator

from pipeline.recipe.duration import Duration, parse
from pipeline.recipe.policies import FastAutoAugment, Policy
from pipeline.recipe.section import Section
from pipeline.recipe.space import Domain, parse_domain

Expression = Annotated[Domain, BeforeValidator(parse_domain), PlainSerializer(str, return_type=str)]


class NoScheduler(Section):
    """Every trial trains to its end."""

    kind: Literal["none"] = "none"


class Asha(Section):
    """Asynchronous successive halving (Li et al. 2020): of the trials that came so far, the best share goes on."""

    kind: Literal["asha"]
    grace: Duration = parse("1ep")
    """No trial is stopped earlier."""
    factor: Annotated[float, Field(gt=1)] = 3.0
    """One in so many goes on, at `grace`, `grace * factor`, ..."""


class Median(Section):
    """A trial whose best value is worse than the median of the others' means so far is stopped (Vizier, 2017)."""

    kind: Literal["median"]
    grace: Duration = parse("1ep")
    """No trial is stopped earlier."""
    others: PositiveInt = 3
    """No trial is stopped before so many others have come as far."""


class Pbt(Section):
    """Population based training (Jaderberg et al. 2017): the worst go on from the best's weights, with other keys."""

    kind: Literal["pbt"]
    interval: Duration = parse("1ep")
    """How often trials are compared."""
    quantile: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    """The share of the trials that is replaced, by as many of the best."""
    resample: Annotated[float, Field(ge=0, le=1)] = 0.25
    """How often a key is drawn anew, instead of being multiplied by 0.8 or 1.2, or moved to a neighbouring choice."""


class RandomSearch(Section):
    """Values are drawn from the seed and the trial's number alone."""

    kind: Literal["random"] = "random"


class Grid(Section):
    """Every combination of the choices, once."""

    kind: Literal["grid"]


class Optuna(Section):
    """Optuna's TPE sampler (Bergstra et al. 2011): values near to those that were good, after 10 random ones."""

    kind: Literal["optuna"]
    startup: PositiveInt = 10
    """Trials that are drawn at random first."""


class TrialOptions(Section):
    """What a trial runs on."""

    workers: PositiveInt = 1
    """Training workers; they share `train.batch_size`."""
    gpus: Literal["auto"] | Annotated[float, Field(ge=0)] = "auto"
    """A worker's GPUs; 0.5 lets two trials share one. `auto`: one each where there are enough, else none."""
    retries: Annotated[int, Field(ge=0)] = 1
    """How often a trial whose process died goes on from its last checkpoint; a loss that is not finite is final."""


class Tune(Section):
    """What `python -m tune` searches over, and how. A run ignores it."""

    metric: str
    """A metric of the validation split, such as `val/top1`."""
    mode: Literal["max", "min"]
    """Whether the metric should be large or small."""
    samples: PositiveInt = 16
    """Trials; of a grid, the most that it may have."""
    scheduler: Annotated[NoScheduler | Asha | Median | Pbt, Field(discriminator="kind")] = NoScheduler()
    search: Annotated[RandomSearch | Grid | Optuna, Field(discriminator="kind")] = RandomSearch()
    space: dict[str, Expression] = Field(default={})
    """Recipe key to domain: `optimizer.lr: loguniform(0.01, 1)`. Domains are `uniform(low, high)`,
    `loguniform(low, high)`, `quniform(low, high, step)`, `randint(low, high)` with both ends, `choice(a, b, ...)`."""
    trial: TrialOptions = TrialOptions()
    policy: Policy | None = Field(default=None, discriminator="kind")
    """Search for an augmentation policy; then there is no `space`, `scheduler` or `search`."""

    @model_validator(mode="after")
    def _one_thing_to_search(self) -> "Tune":
        if self.policy is None and not self.space:
            raise ValueError(
                "there is nothing to search: write `space`, such as {optimizer.lr: loguniform(0.01, 1)}, or `policy`"
            )
        if self.policy is not None and (self.space or self.scheduler.kind != "none" or self.search.kind != "random"):
            raise ValueError("a policy is searched for in its own way; leave `space`, `scheduler` and `search` out")
        if isinstance(self.policy, FastAutoAugment) and (self.metric, self.mode) != ("val/top1", "max"):
            raise ValueError("`fast` scores policies by top-1; write metric: val/top1 and mode: max")
        return self
