"""`tune: {policy: {kind: ...}}`: a search for an augmentation policy, from a recipe to what it leaves in the store."""

from pathlib import Path

from rich.console import Console

from pipeline.recipe import Recipe
from pipeline.recipe.policies import AutoAugmentSearch, FastAutoAugment, PopulationSearch, RandAugmentSearch
from pipeline.recipe.tuning import Tune
from tune.policy.grid import search_grid
from tune.policy.leave import BEST, FIGURE, POLICY, SCHEDULE
from tune.policy.run_fast import search_fast
from tune.policy.run_population import search_population
from tune.policy.trained import search_trained


def search_policy(recipe: Recipe, tune: Tune, console: Console, resume: bool) -> Path:
    """Search as `tune.policy`, which must be there, says, and tell what was found; the search's folder."""
    match tune.policy:
        case FastAutoAugment():
            folder = search_fast(recipe, tune, tune.policy, console, resume)
        case RandAugmentSearch():
            folder = search_grid(recipe, tune, tune.policy, console, resume)
        case AutoAugmentSearch():
            folder = search_trained(recipe, tune, tune.policy, console, resume)
        case PopulationSearch():
            folder = search_population(recipe, tune, tune.policy, console, resume)
        case None:
            raise ValueError("no policy to search for")
    found = {"policy": POLICY, "schedule": SCHEDULE, "recipe": BEST, "figure": FIGURE}
    for what, name in found.items():
        if (folder / name).exists():
            console.print(f"{what:<11} {folder / name}", markup=False, soft_wrap=True)
    return folder
