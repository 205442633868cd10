"""What a sample means to the model. A folder and a line here a task; nobody else asks which one it is."""

from typing import TYPE_CHECKING

from pipeline.tasks.base import Task
from pipeline.tasks.classification import Classification
from pipeline.tasks.multilabel import Multilabel

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

TASKS: dict[str, type[Task]] = {
    "image-classification": Classification,
    "video-classification": Classification,
    "image-multilabel": Multilabel,
    "video-multilabel": Multilabel,
}
"""By a recipe's `task.kind`."""


def task_of(recipe: "Recipe", classes: tuple[str, ...] = ()) -> Task:
    """Make the task of a recipe for data of these classes; without classes, where only words are asked of it."""
    return TASKS[recipe.task.kind].of(recipe, classes)
