"""How much each class counts in the loss."""

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.recipe.loss import Loss
from pipeline.shards.dataset import Dataset
from pipeline.tasks.base import Task


def loss_weights(loss: Loss, task: Task, dataset: Dataset) -> list[float] | None:
    """Return a weight for each class of the data; None for equal ones. ZoetropeError for a name that is no class."""
    asked = loss.class_weights
    if asked is None:
        return None
    if asked == "balanced":
        train = dataset.split("train")
        amounts = dataset.amounts.get("train")  # pixels or objects, where samples have several
        if amounts is not None:
            return task.balanced(amounts, sum(amounts))
        if task.rides:
            raise ZoetropeError(
                "loss.class_weights: balanced goes by pixels, and of tars that stay where they are nobody has counted "
                "them; write a weight for each class, or make shards of the files"
            )
        return task.balanced(train.class_counts, train.samples)
    for name in asked:
        if name not in dataset.classes:
            raise ZoetropeError(f"loss.class_weights: {unknown('class', name, dataset.classes)}")
    return [asked.get(name, 1.0) for name in dataset.classes]
