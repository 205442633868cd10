"""The metrics that a schedule follows, as far as a recipe tells whether they are measured."""

from pipeline.base.errors import unknown
from pipeline.recipe import Recipe
from pipeline.recipe.schedules import Plateau
from pipeline.tasks import task_of


def metric_problems(recipe: Recipe) -> list[str]:
    """Return a line for each metric of `schedule` that the training does not measure, or that none is better in."""
    task, options = task_of(recipe), recipe.schedule
    trained = [f"train/{name}" for name in task.in_training]
    validated = [f"val/{name}" for name in task.measures if name not in task.unjudged]
    asked = [("warmup_until", name, trained) for name in options.warmup_until]
    if isinstance(options, Plateau) and options.metric:
        asked.append(("metric", options.metric, validated))
    return [f"schedule.{key}: {unknown('metric', name, known)}" for key, name, known in asked if name not in known]
