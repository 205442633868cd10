"""Which trials go on: Ray Tune's schedulers, in epochs, and able to take up a search that was killed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)

from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import generator
from pipeline.recipe import Length
from pipeline.recipe.space import Domain, LogUniform, Uniform
from pipeline.recipe.tuning import Tune
from tune.journal import Trial
from tune.space import Values
from tune.trial import EPOCH, TIME, VALUE

NEVER = float("inf")
FACTORS = (0.8, 1.2)
"""Jaderberg et al. 2017, section 4."""
Explore = Callable[[Values, int, int], Values]
"""(values of the better trial, number of the trial that it replaces, how often that was replaced) -> its new values."""


def make_scheduler(
    tune: Tune, epochs: Callable[[Length], float], longest: float, seed: int, moved: Explore | None = None
) -> TrialScheduler:
    """Make the one that `tune.scheduler` asks for; `epochs` turns a duration into epochs, of which a trial has
    `longest`.

    `moved` takes the place of pbt's own `explore`.
    """
    chosen = tune.scheduler
    if chosen.kind == "none":
        return FIFOScheduler()
    name, length = ("interval", chosen.interval) if chosen.kind == "pbt" else ("grace", chosen.grace)
    first = epochs(length)
    if first > longest:
        raise ZoetropeError(
            f"tune.scheduler.{name}: {length} is {first:g} epochs, and no trial has more than {longest:g}; "
            f"lower it, or raise train.duration"
        )
    match chosen.kind:
        case "asha":
            # Not at max_t either: a trial that reaches its end ends by itself, and is no stopped one.
            return AsyncHyperBandScheduler(
                time_attr=EPOCH,
                max_t=longest,  # type: ignore[arg-type]  # its hints say int, its code takes any number
                grace_period=first,  # type: ignore[arg-type]
                reduction_factor=chosen.factor,
                stop_last_trials=False,
            )
        case "median":
            # Without pauses: to go on elsewhere later costs a trial its start again.
            return MedianStoppingRule(
                time_attr=EPOCH,
                grace_period=first,
                min_samples_required=chosen.others,
                min_time_slice=NEVER,  # type: ignore[arg-type]
            )
    space, resample = tune.space, chosen.resample
    return Population(
        moved or (lambda values, number, count: explore(space, values, resample, seed, number, count)),
        first,
        chosen.quantile,
        seed,
    )


class Population(PopulationBasedTraining):
    """Ray Tune's PBT with draws keyed by (seed, trial, how often it was replaced, and for the donor the step)."""

    def __init__(self, moved: Explore, interval: float, quantile: float, seed: int) -> None:
        super().__init__(
            time_attr=TIME,
            perturbation_interval=interval,
            quantile_fraction=quantile,
            custom_explore_fn=lambda config: config,  # asked for; `_get_new_config` does it
            log_config=False,
            require_attrs=False,
        )
        self._moved, self._seed = moved, seed

    def _checkpoint_or_exploit(self, trial: Any, controller: Any, upper: list[Any], lower: list[Any]) -> None:
        """Exploit as Ray Tune does, which draws the better trial by Python's global `random`:
        from a list of the one drawn.
        """
        if trial in lower:
            state: Any = self._trial_state[trial]
            key = trial.config["point"]["number"], state.last_result["step"]
            drawn = generator(self._seed, "donor", *key).integers(len(upper))
            upper = [sorted(upper, key=lambda one: one.config["point"]["number"])[drawn]]
        super()._checkpoint_or_exploit(trial, controller, upper, lower)

    def _get_new_config(self, trial: Any, trial_to_clone: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the better trial's point, moved; the trial keeps its own number."""
        own, donor = trial.config["point"], trial_to_clone.config["point"]
        count = own["replaced"] + 1
        values = self._moved(json.loads(donor["values"]), own["number"], count)
        point = {
            "number": own["number"],
            "values": json.dumps(values),
            "replaced": count,
            "from": donor["number"],
            "epoch": (self._trial_state[trial_to_clone].last_result or {})[EPOCH],
        }
        return {"point": point}, {}


def explore(space: dict[str, Domain], values: Values, resample: float, seed: int, number: int, count: int) -> Values:
    """Return a point near to `values`: each key times 0.8 or 1.2, or moved to its neighbour, or
    (`resample`) drawn anew.
    """
    moved = {}
    for key, domain in space.items():
        again, where, up = generator(seed, "pbt", number, count, key).random(3)
        if again < resample:
            moved[key] = domain.at(where)
        elif domain.listed is not None:
            place = domain.listed.index(values[key]) + (1 if up < 0.5 else -1)
            moved[key] = domain.listed[min(max(place, 0), len(domain.listed) - 1)]
        else:
            moved[key] = _scaled(domain, values[key], FACTORS[int(up < 0.5)])
    return moved


def _scaled(domain: Domain, value: float, factor: float) -> Any:
    low, high = domain.ends
    scaled = min(max(value * factor, low), high)
    return scaled if isinstance(domain, Uniform | LogUniform) else round(scaled)


@dataclass(eq=False)
class Past:
    """Stands for a trial of an earlier attempt, before a scheduler."""

    trial_id: str


NOBODY = SimpleNamespace(get_live_trials=list, search_alg=None)


def remember(scheduler: TrialScheduler, trial: Trial, trial_id: str) -> None:
    """Tell a scheduler what a trial has reported in an earlier attempt; its decisions were taken then."""
    if not isinstance(scheduler, AsyncHyperBandScheduler | MedianStoppingRule):
        return
    past: Any = Past(trial_id)
    nobody: Any = NOBODY
    scheduler.on_trial_add(nobody, past)
    for result in trial.results:
        if (value := result["metrics"].get(trial.metric)) is not None:
            scheduler.on_trial_result(nobody, past, {EPOCH: result["epoch"], VALUE: value})
