"""How much each class counts in the loss."""

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset
from pipeline.tasks import task_of


def loss_weights(recipe: Recipe, dataset: Dataset) -> list[float] | None:
    """A weight for each class of the data, as the recipe asks; ZoetropeError for one of a name that is no class."""
    asked = recipe.loss.class_weights
    if asked is None:
        return None
    if asked == "balanced":
        train, task = dataset.split("train"), task_of(recipe, dataset.classes)
        if amounts := dataset.amounts.get("train"):  # pixels or objects, where samples have several
            return task.balanced(amounts, sum(amounts))
        return task.balanced(train.class_counts, train.samples)
    for name in asked:
        if name not in dataset.classes:
            raise ZoetropeError(f"loss.class_weights: {unknown('class', name, dataset.classes)}")
    return [asked.get(name, 1.0) for name in dataset.classes]
