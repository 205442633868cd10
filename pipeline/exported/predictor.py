"""The exported model on new files: bytes in, answers out. They go the way that a sample goes in the run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from pipeline.base.errors import ZoetropeError, brief
from pipeline.exported.sight import Seen, Sight
from pipeline.recipe import Recipe, check
from pipeline.recipe.load import set_key
from pipeline.tasks import task_of
from pipeline.tasks.base import Answer, Arrays
from pipeline.training.model import load_model
from pipeline.training.model_folder import check_whole
from pipeline.training.step import Normalize, Running


class Predictor:
    """An exported model: a folder with `model.safetensors`, `recipe.yaml` and `classes.json`.

    views: keys of the recipe's `evaluate` to change, such as {"clips": 3}, {"flip": True} or {"scales": [0.75, 1.0]}

    ZoetropeError for one that is not as it was exported, and for views that the recipe cannot have.
    """

    def __init__(self, folder: Path, device: str | None = None, views: Mapping[str, Any] | None = None) -> None:
        check_whole(folder)
        self.folder = folder
        self.recipe = _recipe(folder / "recipe.yaml", views or {})
        self.classes: list[str] = json.loads((folder / "classes.json").read_text())
        self.task = task_of(self.recipe, tuple(self.classes))
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = load_model(self.recipe, len(self.classes), folder / "model.safetensors", self.device)
        self.normalize = Normalize.of(self.recipe, self.device)
        self.sight = Sight(self.recipe)
        self.run = Running(self.model, self.normalize, self.recipe.train, self.recipe.evaluate)

    def __call__(self, content: bytes) -> Arrays:
        """Compute the task's answer to the bytes of an image or video file, such as `scores` float32 [K].

        BadSample for none.
        """
        (answer,) = placed([self], [(self.sight(content),)])
        return answer

    def pixels(self, content: bytes) -> np.ndarray:
        """Store as a sample of the run is stored, then see as the evaluation sees it: uint8 [V, (T,) H, W, 3]."""
        return self.sight(content).pixels

    def infer(self, pixels: np.ndarray) -> Answer:
        """Compute the answers to samples of one size, in all their views: uint8 [n, V, (T,) H, W, 3].

        Halves of them where the GPU's memory does not suffice; ZoetropeError where it does not for one.
        """
        try:
            return self.task.infer(self.run, {"pixels": pixels})
        except torch.OutOfMemoryError:
            if len(pixels) == 1:
                raise ZoetropeError(
                    f"the memory of {self.device} does not suffice for one file; take fewer views, set "
                    "--views tile=512 for masks, or predict on the CPU (CUDA_VISIBLE_DEVICES=)"
                ) from None
        torch.cuda.empty_cache()
        halves = [self.infer(half) for half in np.array_split(pixels, 2)]
        return {name: torch.cat([half[name] for half in halves]) for name in halves[0]}


def placed(predictors: Sequence[Predictor], seen: Sequence[tuple[Seen, ...]]) -> list[Arrays]:
    """Answer some files, each as every model sees it, by the mean of the models' answers: in px of the file.

    The predictors must go together, see `check_together`.
    """
    total: list[dict[str, Tensor]] = [{} for _ in seen]
    for number, predictor in enumerate(predictors):
        mine = [each[number] for each in seen]
        for group in _of_one_size(mine):
            answer = predictor.infer(np.stack([mine[i].pixels for i in group]))
            for place, i in enumerate(group):
                for name, value in answer.items():
                    share = value[place : place + 1] / len(predictors)
                    total[i][name] = total[i][name] + share if name in total[i] else share
    task = predictors[0].task
    answers: list[Answer] = []
    for mean, (first, *_) in zip(total, seen, strict=True):
        where = (None, None) if first.frame is None else (torch.from_numpy(first.frame), first.size)
        answers.append(mean if where[0] is None or where[1] is None else task.restored(mean, where[0], where[1]))
    return [{name: value[0].cpu().numpy() for name, value in answer.items()} for answer in answers]


def check_together(predictors: Sequence[Predictor]) -> None:
    """Raise ZoetropeError for models whose answers have no mean: of other tasks or classes, or other masks."""
    first = predictors[0]
    for other in predictors[1:]:
        if other.recipe.task.kind != first.recipe.task.kind:
            raise ZoetropeError(
                f"{other.folder} answers {other.recipe.task.kind}, and {first.folder} {first.recipe.task.kind}; models "
                "whose answers are averaged have one task"
            )
        if other.classes != first.classes:
            raise ZoetropeError(f"{other.folder} knows {_other_classes(first.classes, other.classes)}")
        same_view = (other.recipe.augment.eval, other.recipe.shard) == (first.recipe.augment.eval, first.recipe.shard)
        if first.task.rides and not same_view:
            raise ZoetropeError(
                f"{other.folder} sees pictures otherwise than {first.folder} (augment.eval, shard.image), so that the "
                "places of their answers do not fit; models whose masks are averaged see alike"
            )


def _other_classes(ours: list[str], theirs: list[str]) -> str:
    if sorted(ours) == sorted(theirs):
        why = "the same classes in another order"
    else:
        i = next((i for i, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
        place = f", such as {theirs[i]!r} where the first model has {ours[i]!r}" if i is not None else ""
        why = f"other classes ({len(theirs)}{place}) than the first model ({len(ours)})"
    return f"{why}; models whose answers are averaged have the same, in the same order"


def _of_one_size(seen: Sequence[Seen]) -> Iterator[list[int]]:
    """Yield places of what has one shape, so that it can be a batch."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, each in enumerate(seen):
        groups.setdefault(each.pixels.shape, []).append(i)
    yield from groups.values()


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
