"""The recipe: one YAML file that describes a run, and its typed form."""

from pipeline.recipe.duration import Length, parse
from pipeline.recipe.load import load
from pipeline.recipe.schema import Recipe
from pipeline.recipe.validate import RecipeError, check, plain

__all__ = ["Length", "Recipe", "RecipeError", "check", "load", "parse", "plain"]
