"""What a sample means to the model. A folder and a line here a task; nobody else asks which one it is."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.tasks.base import Task
from pipeline.tasks.classification import Classification
from pipeline.tasks.multilabel import Multilabel

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

TASKS: "dict[str, Callable[[Recipe, tuple[str, ...]], Task]]" = {
    "image-classification": Classification.of,
    "video-classification": Classification.of,
    "image-multilabel": Multilabel.of,
    "video-multilabel": Multilabel.of,
}
"""By a recipe's `task.kind`: what makes the task's object."""


def task_of(recipe: "Recipe", classes: tuple[str, ...] = ()) -> Task:
    """The task of a recipe for data of these classes; without classes, where only words are asked of it."""
    return TASKS[recipe.task.kind](recipe, classes)
