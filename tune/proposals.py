"""Which point of the space a trial gets: at random, from a grid, or from Optuna. Each is a function of what is known.

No state is kept between proposals, so a search that was killed goes on as it would have.
"""

import warnings
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Protocol

from pipeline.base.keyed import generator, seed64
from pipeline.recipe import Recipe
from pipeline.recipe.space import Choice, Domain, LogUniform, QUniform, RandInt, Uniform
from pipeline.recipe.tuning import Tune
from tune.journal import Trial
from tune.space import Values

Space = Mapping[str, Domain]


class Proposer(Protocol):
    """Proposes the point of the next trial."""

    def __call__(self, number: int, trials: Sequence[Trial]) -> Values | None:
        """Return the values of trial `number` (0, 1, ...), given all that were begun; None when there are no more."""


def random_values(space: Space, seed: int, number: int) -> Values:
    """Return a draw for each key, of the seed, the trial's number and the key alone."""
    return {key: domain.at(generator(seed, "tune", number, key).random()) for key, domain in space.items()}


def grid_values(space: Space) -> list[Values]:
    """Return every combination of the listed values; the last key changes fastest."""
    listed = [domain.listed or domain.ends for domain in space.values()]
    return [dict(zip(space, point, strict=True)) for point in product(*listed)]


def optuna_values(space: Space, seed: int, number: int, trials: Sequence[Trial], mode: str, startup: int) -> Values:
    """Return what Optuna's TPE proposes after `trials`: those that run count as bad ones, and
    failed ones not at all.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kinds = {key: distribution(domain) for key, domain in space.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Keyed anew for every trial: the sampler's own stream would start over when a search is resumed.
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=startup,
            multivariate=True,
            constant_liar=True,
            seed=seed64(seed, "optuna", number) % 2**32,
        )
    study = optuna.create_study(direction="maximize" if mode == "max" else "minimize", sampler=sampler)
    for trial in trials:
        state = optuna.trial.TrialState.COMPLETE if trial.value is not None else optuna.trial.TrialState.RUNNING
        if trial.status in ("done", "stopped", "running") and (trial.status == "running" or trial.value is not None):
            state = optuna.trial.TrialState.RUNNING if trial.status == "running" else state
            parameters = {key: _inward(space[key], trial.values[key]) for key in space}
            study.add_trial(
                optuna.trial.create_trial(
                    state=state,
                    params=parameters,
                    distributions=kinds,
                    value=trial.value if state == optuna.trial.TrialState.COMPLETE else None,
                )
            )
    asked = study.ask(kinds)
    return {key: _outward(space[key], asked.params[key]) for key in space}


def distribution(domain: Domain) -> Any:
    """Return Optuna's distribution; a choice is one among its numbers, as its values may be lists."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match domain:
        case Choice():
            return CategoricalDistribution(range(len(domain.values)))
        case RandInt():
            return IntDistribution(domain.low, domain.high)
        case QUniform():
            return FloatDistribution(domain.listed[0], domain.listed[-1], step=domain.step)
        case Uniform():
            return FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniform))
    raise TypeError(f"no distribution for {domain}")


def _inward(domain: Domain, value: Any) -> Any:
    return domain.values.index(value) if isinstance(domain, Choice) else value


def _outward(domain: Domain, value: Any) -> Any:
    if isinstance(domain, QUniform):
        return float(f"{value:.12g}")
    return domain.values[value] if isinstance(domain, Choice) else value


def proposer(recipe: Recipe, tune: Tune) -> Proposer:
    """Return the one that `tune.search` asks for."""
    space, seed = tune.space, recipe.seed
    if tune.search.kind == "grid":
        points = grid_values(space)
        return lambda number, trials: points[number] if number < len(points) else None
    if tune.search.kind == "optuna":
        startup = tune.search.startup
        return lambda number, trials: optuna_values(space, seed, number, trials, tune.mode, startup)
    return lambda number, trials: random_values(space, seed, number)
