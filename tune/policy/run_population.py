"""Population based augmentation on the core's population based training."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from pipeline.recipe import Recipe
from pipeline.recipe.policies import PopulationSearch
from pipeline.recipe.tuning import Tune
from tune.journal import Trial
from tune.policy.leave import leave_schedule
from tune.policy.population import COPIES, TRAIN, explored, point, schedule_of
from tune.policy.space import OPERATIONS
from tune.search import search
from tune.search_report import show
from tune.session import parent_run, ray_session
from tune.space import Values, check_tune, trial_recipe

QUANTILE = 0.25


def search_population(recipe: Recipe, tune: Tune, options: PopulationSearch, console: Console, resume: bool) -> Path:
    """Train the population; the search's folder, with the schedule that the best weights came by."""
    began = time.monotonic()
    searched = recipe.model_copy(update={"tune": as_population(recipe, tune, options)})
    checked = check_tune(searched)
    first = point(recipe, [0] * (2 * COPIES * len(OPERATIONS)))

    def propose(number: int, trials: Sequence[Trial]) -> Values:
        return first

    with ray_session(trial_recipe(searched, checked, {}), console):
        found = search(searched, console, resume, propose=propose, moved=partial(explored, recipe))
        show(console, found, recipe, checked, time.monotonic() - began)
        assert found.best is not None  # `show` raises where there is none
        with parent_run(recipe, found.folder, {}, console) as tracker:
            leave_schedule(recipe, schedule_of(found.best.history), found.folder, tracker)
    return found.folder


def as_population(recipe: Recipe, tune: Tune, options: PopulationSearch) -> Tune:
    """Return the section `tune` of the core's search: all begin with a policy that changes nothing."""
    first = point(recipe, [0] * (2 * COPIES * len(OPERATIONS)))
    values = {
        "samples": options.population,
        "scheduler": {"kind": "pbt", "interval": str(options.interval), "quantile": QUANTILE},
        "space": {TRAIN: f"choice({first[TRAIN]!r})"},
    }
    return Tune.model_validate({**tune.model_dump(exclude={"policy"}), **values})
