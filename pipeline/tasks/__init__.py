"""What a sample means to the model. A folder and a line here a task; nobody else asks which one it is."""

from typing import TYPE_CHECKING

from pipeline.tasks.base import Task
from pipeline.tasks.classification import Classification
from pipeline.tasks.detection import Detection
from pipeline.tasks.instances import Instances
from pipeline.tasks.keypoints import KeyPoints
from pipeline.tasks.multilabel import Multilabel
from pipeline.tasks.restoration import Restoration
from pipeline.tasks.segmentation import Segmentation

if TYPE_CHECKING:
    from pipeline.recipe import Recipe
    from pipeline.recipe.tasks import TaskSection

TASKS: dict[str, type[Task]] = {
    "image-classification": Classification,
    "video-classification": Classification,
    "image-multilabel": Multilabel,
    "video-multilabel": Multilabel,
    "segmentation": Segmentation,
    "detection": Detection,
    "keypoints": KeyPoints,
    "instances": Instances,
    "restoration": Restoration,
}
"""By a recipe's `task.kind`; a user's own is named by its section."""


def class_of(section: "TaskSection") -> type[Task]:
    """Return the class of a task by its section in a recipe."""
    found: type[Task] = section.task or TASKS[section.kind]
    return found


def task_of(recipe: "Recipe", classes: tuple[str, ...] = ()) -> Task:
    """Make the task of a recipe for data of these classes; without classes, where only words are asked of it."""
    return class_of(recipe.task).of(recipe, classes)
