"""From a checked recipe to a plan: what would run, and why, without starting anything."""

from collections.abc import Iterable

from pipeline.graph import Plan, plan
from pipeline.recipe import Recipe, RecipeError, plain
from pipeline.recipe.load import transform_problems
from pipeline.stages import GRAPH
from pipeline.store import Store


def make_plan(recipe: Recipe, rerun: Iterable[str] = ()) -> tuple[Plan, Store]:
    """The plan of a recipe in its store. Raises RecipeError, StoreError and the like for what can be seen beforehand."""
    store = Store(recipe.store)
    planned = plan(GRAPH, plain(recipe), store, rerun)
    if planned.to_run:
        # Loading albumentations takes two seconds. When all is there already, the transforms have been checked once.
        if problems := transform_problems(plain(recipe)):
            raise RecipeError(
                f"{recipe.name}: the transforms are wrong\n" + "\n".join(f"  {line}" for line in problems)
            )
    return planned, store
