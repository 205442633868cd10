"""The recipe: one YAML file that describes a run, and its typed form."""

from pipeline.recipe.duration import Length, parse
from pipeline.recipe.load import RecipeError, check, load, plain
from pipeline.recipe.schema import Recipe

__all__ = ["Length", "Recipe", "RecipeError", "check", "load", "parse", "plain"]
