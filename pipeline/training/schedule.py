"""The learning rate of a step, as arithmetic: no state, so a training can go on at any step.

Each curve equals the scheduler of `torch.optim.lr_scheduler` that bears its name, which keep state and count calls.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pipeline.recipe.schedules import ScheduleOptions

CONSTANT_FROM = 0.1


def cosine(progress: float, final: float = 0.0) -> float:
    """Compute half a cosine from 1 to `final` (Loshchilov & Hutter 2017, eq. 5, without restarts); progress 0..1."""
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))


def polynomial(progress: float, power: float, final: float = 0.0) -> float:
    """Compute (1 - progress) ** power from 1 to `final`; DeepLab's "poly" has 0.9 (Chen et al. 2018, section 4.1)."""
    return final + (1 - final) * (1 - progress) ** power


def step_decay(step: int, milestones: Sequence[int], factor: float) -> float:
    """Raise `factor` to the power of the milestones that `step` has reached."""
    return factor ** bisect_right(sorted(milestones), step)


def gradual_warmup(step: int, warmup_steps: int, start: float | None) -> float:
    """Grow from `start` linearly towards 1, which the step after the warm-up is the first to have.

    With `start` = 1/m this is lr * (1 + (m - 1) * t / T) of Goyal et al. 2017, section 2.2, for a peak of m * lr. By
    default step s runs at (s + 1) / (warmup_steps + 1), so the first step is not lost on a rate of 0.
    """
    start = 1 / (warmup_steps + 1) if start is None else start
    return start + (1 - start) * step / warmup_steps


def constant_warmup(step: int, warmup_steps: int, start: float | None) -> float:
    """Return `start` all the way, 0.1 by default (He et al. 2016, section 4.2)."""
    return CONSTANT_FROM if start is None else start


WARMUPS: dict[str, Callable[[int, int, float | None], float]] = {
    "gradual": gradual_warmup,
    "constant": constant_warmup,
}

Curve = Callable[[int], float]
"""Factor of the peak learning rate at a step; called for steps after the warm-up only."""


def _after_warmup(shape: Callable[[float], float], total_steps: int, warmup_steps: int) -> Curve:
    """Return a curve over the progress 0..1 from the warm-up's end to the training's."""
    return lambda step: shape((step - warmup_steps) / max(1, total_steps - warmup_steps))


def _cosine(options: Any, steps: Callable[[Any], int], total: int, warmup: int) -> Curve:
    return _after_warmup(partial(cosine, final=options.final), total, warmup)


def _polynomial(options: Any, steps: Callable[[Any], int], total: int, warmup: int) -> Curve:
    return _after_warmup(partial(polynomial, power=options.power, final=options.final), total, warmup)


def _step(options: Any, steps: Callable[[Any], int], total: int, warmup: int) -> Curve:
    return partial(step_decay, milestones=[steps(length) for length in options.at], factor=options.factor)


def _constant(options: Any, steps: Callable[[Any], int], total: int, warmup: int) -> Curve:
    return lambda step: 1.0


def _plateau(options: Any, steps: Callable[[Any], int], total: int, warmup: int) -> Curve:
    return lambda step: 1.0  # what is measured makes it less: see `pipeline.training.rate`


CURVES: dict[str, Callable[[Any, Callable[[Any], int], int, int], Curve]] = {
    "cosine": _cosine,
    "polynomial": _polynomial,
    "step": _step,
    "constant": _constant,
    "plateau": _plateau,
}


def make(options: ScheduleOptions, steps_per_epoch: int, batch_size: int, total_steps: int, warmup_steps: int) -> Curve:
    """Make the function that gives the factor of the peak learning rate at any optimizer step 0
    ... total_steps - 1, as the recipe says, behind a warm-up of `warmup_steps`.
    """

    def steps(length: Any) -> int:
        return int(length.steps(steps_per_epoch, batch_size, total_steps))

    warmup = WARMUPS[options.warmup_shape]
    curve = CURVES[options.kind](options, steps, total_steps, warmup_steps)  # type: ignore[attr-defined]  # of each kind

    def factor(step: int) -> float:
        return warmup(step, warmup_steps, options.warmup_from) if step < warmup_steps else curve(step)

    return factor
