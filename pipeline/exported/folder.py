"""What the folder of an exported model says of it, and which models go together. Without torch: no weight is loaded."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.errors import ZoetropeError, brief
from pipeline.recipe import Recipe, check
from pipeline.recipe.load import set_key
from pipeline.tasks import task_of
from pipeline.training.model_folder import check_whole


class Exported:
    """An exported model: a folder with `model.safetensors`, `recipe.yaml` and `classes.json`.

    views: keys of the recipe's `evaluate` to change, such as {"clips": 3}, {"flip": True} or {"scales": [0.75, 1.0]}

    ZoetropeError for one that is not as it was exported, and for views that the recipe cannot have.
    """

    def __init__(self, folder: Path, views: Mapping[str, Any] | None = None) -> None:
        check_whole(folder)
        self.folder = folder
        self.recipe = _recipe(folder / "recipe.yaml", views or {})
        self.classes: list[str] = json.loads((folder / "classes.json").read_text())
        self.task = task_of(self.recipe, tuple(self.classes))


def check_together(models: Sequence[Exported]) -> None:
    """Raise ZoetropeError for models whose answers have no mean: of other tasks or classes, or other places."""
    first = models[0]
    for other in models[1:]:
        if other.recipe.task.kind != first.recipe.task.kind:
            raise ZoetropeError(
                f"{other.folder} answers {other.recipe.task.kind}, and {first.folder} {first.recipe.task.kind}; models "
                "whose answers are averaged have one task"
            )
        if other.classes != first.classes:
            raise ZoetropeError(
                f"{other.folder} knows {other_classes(first.classes, other.classes, 'the first model')}; models whose "
                "answers are averaged have the same, in the same order"
            )
        if first.recipe.task.answers == "image" and other.recipe.task != first.recipe.task:
            raise ZoetropeError(
                f"{other.folder} restores otherwise than {first.folder} (task.scale, task.degrade), so that their "
                "pictures have no mean; models whose pictures are averaged have one task"
            )
        views = [(one.recipe.augment.eval, one.recipe.shard.image) for one in (other, first)]
        if first.task.rides and views[0] != views[1]:
            raise ZoetropeError(
                f"{other.folder} sees pictures otherwise than {first.folder} (augment.eval, shard.image), so that the "
                "places of their answers do not fit; models whose masks, boxes or pictures are averaged see alike"
            )


def other_classes(ours: Sequence[str], theirs: Sequence[str], who: str) -> str:
    """Say how classes differ from `ours`, which are those of `who`: "the first model"."""
    if sorted(ours) == sorted(theirs):
        return f"the same classes as {who} in another order"
    i = next((i for i, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
    place = f", such as {theirs[i]!r} where {who} has {ours[i]!r}" if i is not None else ""
    return f"other classes ({len(theirs)}{place}) than {who} ({len(ours)})"


def _recipe(path: Path, views: Mapping[str, Any]) -> Recipe:
    values = yaml.safe_load(path.read_text())
    for key, value in views.items():
        set_key(values, f"evaluate.{key}", value)
    try:
        return check(values, str(path))
    except ZoetropeError as error:
        if not views:
            raise
        raise ZoetropeError(f"views {brief(dict(views))}: {error}") from error
