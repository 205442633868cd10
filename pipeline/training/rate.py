"""The learning rate's factor, a part of which may follow what is measured: a warm-up's end, and `plateau`.

Every rank sees the same measurements, and a checkpoint keeps what followed from them: a training that goes on has the
learning rates that it would have had undisturbed.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.recipe import Recipe
from pipeline.recipe.schedules import Plateau
from pipeline.tasks import task_of
from pipeline.training import schedule
from pipeline.training.checkpoint import SCHEDULE, Stateful
from pipeline.training.followed import metric_problems


class Rate:
    """Gives the factor of the peak learning rate at a step; `trained` and `validated` tell it what was measured."""

    def __init__(self, recipe: Recipe, steps_per_epoch: int, total: int) -> None:
        """Begin a training of `total` steps. ZoetropeError where the schedule follows what is not measured."""
        if problems := metric_problems(recipe):
            raise ZoetropeError(problems[0])
        self.options, self.task, batch = recipe.schedule, task_of(recipe), recipe.train.batch_size
        self.momentum_then: float | None = getattr(recipe.optimizer, "momentum", None)
        self.make = partial(schedule.make, self.options, steps_per_epoch, batch, total)
        warmup_steps = self.options.warmup.steps(steps_per_epoch, batch, total)
        self.planned = self.make(warmup_steps)
        """The factor at a step as far as it is known beforehand: no plateau comes, and the warm-up lasts `warmup`."""
        self._end_warmup((warmup_steps or total) if self.options.warmup_until else warmup_steps)
        self.scale = 1.0
        """What plateaus have left of the peak."""
        self.best: float | None = None
        self.worse = 0
        """Validations in a row that were not better than the best one."""

    @property
    def parts(self) -> dict[str, Stateful]:
        """What a checkpoint keeps, by its name there: nothing where measurements change nothing."""
        follows = self.options.warmup_until or isinstance(self.options, Plateau)
        return {SCHEDULE: self} if follows else {}

    def __call__(self, step: int) -> float:
        """Return the factor at a step, once all that was measured before it is known."""
        return self.scale * self.curve(step)

    def biases(self, step: int) -> float | None:
        """Return the factor of biases at a step; None where they have that of the rest."""
        start = self.options.warmup_biases
        return None if start is None or step >= self.warmup_end else self._warmed(step, start, 1.0)

    def momentum(self, step: int) -> float | None:
        """Return the momentum at a step; None where it is what the optimizer says from the start."""
        start, then = self.options.warmup_momentum, self.momentum_then
        return None if start is None or then is None else self._warmed(step, start, then)

    def trained(self, done: int, metrics: Mapping[str, float]) -> None:
        """Take note of a measurement of training batches, after `done` steps: it may end the warm-up."""
        until = self.options.warmup_until
        if until and done < self.warmup_end and all(self._reaches(metrics, name, until[name]) for name in until):
            self._end_warmup(done)

    def validated(self, done: int, metrics: Mapping[str, float]) -> None:
        """Take note of a validation after `done` steps: the learning rate may fall.

        ZoetropeError where it lacks the metric, as it lacks the top 5 of four classes.
        """
        options = self.options
        if not isinstance(options, Plateau) or done < self.warmup_end:
            return
        metric = options.metric or f"val/{self.task.headline.metric}"
        if metric not in metrics:
            raise ZoetropeError(f"schedule.metric: {unknown('metric', metric, metrics)}")
        value = self._sign(metric) * metrics[metric]
        if self.best is None or value > self.best + options.threshold * abs(self.best):
            self.best, self.worse = value, 0
            return
        self.worse += 1
        if self.worse > options.patience:
            self.scale, self.worse = max(self.scale * options.factor, options.final), 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"warmup_end": self.warmup_end, "scale": self.scale, "best": self.best, "worse": self.worse}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._end_warmup(state["warmup_end"])
        self.scale, self.best, self.worse = state["scale"], state["best"], state["worse"]

    def _warmed(self, step: int, start: float, then: float) -> float:
        """Go linearly from `start` to `then`, which the step after the warm-up has."""
        return start + (then - start) * min(1.0, step / self.warmup_end) if self.warmup_end else then

    def _end_warmup(self, step: int) -> None:
        self.warmup_end, self.curve = step, self.make(step)

    def _reaches(self, metrics: Mapping[str, float], name: str, value: float) -> bool:
        return self._sign(name) * (metrics[name] - value) >= 0

    def _sign(self, metric: str) -> int:
        return -1 if metric.partition("/")[2] in self.task.smaller_is_better else 1
