"""RandAugment's search (Cubuk et al. 2020, section 4): a grid over the number of operations and their magnitude."""

import time
from pathlib import Path

import numpy as np
from rich.console import Console

from pipeline.recipe import Recipe
from pipeline.recipe.policies import RandAugmentSearch
from pipeline.recipe.tuning import Tune
from tune.journal import Trial
from tune.policy.figure import grid_of_scores
from tune.policy.leave import FIGURE
from tune.policy.recipes import kept, with_transform
from tune.search import search
from tune.search_report import show
from tune.session import parent_run, ray_session
from tune.space import check_tune, trial_recipe
from tune.tracking import PARENT


def search_grid(recipe: Recipe, tune: Tune, options: RandAugmentSearch, console: Console, resume: bool) -> Path:
    """Train every point of the grid; the search's folder, whose `best.yaml` is the recipe with the best point."""
    began = time.monotonic()
    gridded = recipe.model_copy(update={"tune": as_grid(recipe, tune, options)})
    tune = check_tune(gridded)
    with ray_session(trial_recipe(gridded, tune, {}), console):
        found = search(gridded, console, resume)
        show(console, found, recipe, tune, time.monotonic() - began)
        assert found.best is not None  # `show` raises where there is none
        (found.folder / FIGURE).parent.mkdir(exist_ok=True)
        title = f"{recipe.name}: {tune.metric} by RandAugment"
        grid_of_scores(scores(found.trials), point_of(found.best), found.folder / FIGURE, title)
        with parent_run(recipe, found.folder, {}, console) as tracker:
            tracker.files.remote(PARENT, {FIGURE: found.folder / FIGURE})
    return found.folder


def as_grid(recipe: Recipe, tune: Tune, options: RandAugmentSearch) -> Tune:
    """Return the section `tune` that goes through the grid: every point is a whole `augment.train`."""
    points = [
        with_transform(
            recipe, {"RandAugment": {"operations": count, "magnitude": magnitude, **kept(recipe)}}
        ).augment.train
        for count in options.operations
        for magnitude in options.magnitude
    ]
    values = {
        "search": {"kind": "grid"},
        "samples": len(points),
        "space": {"augment.train": f"choice({', '.join(map(repr, points))})"},
    }
    return Tune.model_validate({**tune.model_dump(exclude={"policy"}), **values})


def scores(trials: list[Trial]) -> dict[tuple[int, float], float]:
    """Map (number of operations, magnitude) -> metric; NaN of a trial that failed."""
    return {point_of(trial): np.nan if trial.value is None else trial.value for trial in trials}


def point_of(trial: Trial) -> tuple[int, float]:
    """Return (number of operations, magnitude) of a trial."""
    held = next(each["RandAugment"] for each in trial.values["augment.train"] if "RandAugment" in each)
    return held["operations"], held["magnitude"]
