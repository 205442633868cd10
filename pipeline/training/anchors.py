"""`model.anchors: measure`: the anchors of a detector from the objects of the data set, as an evaluation sees them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import ZoetropeError
from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset

MOST = 5000
"""Samples whose objects are measured, evenly spread."""
LEVELS, EACH = 3, 3
ROUNDS = 100
REACH = 4.0
"""An anchor finds objects whose sides differ from its own by less than this factor: see `models.yolo_loss`."""
Sizes = NDArray[np.float64]
Anchors = list[list[list[float]]]


def asked(recipe: Recipe) -> bool:
    """Tell whether a recipe leaves its model's anchors to be measured."""
    return getattr(recipe.model, "anchors", None) == "measure"


def measured(recipe: Recipe, dataset: Dataset, progress: Callable[[float, float, str], None]) -> Anchors:
    """Measure widths and heights in px of anchors, three for each of three levels, the smallest first.

    Samples that cannot be used are passed over; ZoetropeError when none has an object.
    """
    from pipeline.feed.views import ViewMaker
    from pipeline.shards.reader import ShardReader
    from pipeline.tasks import task_of

    task = task_of(recipe, dataset.classes).sized(dataset, training=False)
    split, reader = dataset.split("train"), ShardReader(dataset.files, "train", task.needs)
    views, found = ViewMaker(recipe, training=False), [np.zeros((0, 2))]
    chosen = np.unique(np.linspace(0, split.samples - 1, MOST).astype(int)).tolist()
    for done, sample in enumerate(chosen, 1):
        raw = reader.read(*split.place(sample))
        try:
            boxes = views.view(raw.data, task.companions(raw)).boxes
        except Exception:  # decoders and transforms raise whatever broken data makes them; the training tells of it
            continue
        if boxes is not None:
            found.append((boxes[:, 2:] - boxes[:, :2]).astype(float))
        progress(done, len(chosen), "samples looked at for anchors")
    sizes = np.concatenate(found)
    sizes = sizes[sizes.min(1) > 0]
    if not len(sizes):
        raise ZoetropeError(
            "model.anchors: measure: no training sample has an object, so nothing can be measured; leave it out"
        )
    levels: Anchors = clusters(sizes, LEVELS * EACH).reshape(LEVELS, EACH, 2).round(1).tolist()
    return levels


def clusters(sizes: Sizes, count: int) -> Sizes:
    """Find `count` sizes by which those given, float [N, 2], are told best: k-means of their logarithms, by area.

    An anchor is judged by the ratio of the sides (Redmon & Farhadi 2017, "YOLO9000", section 2, have the IoU), and of
    ratios the mean is that of logarithms. It begins at the quantiles of the area, so that nothing is drawn.
    """
    logs = np.log(sizes)
    order = np.argsort(logs.sum(1), kind="stable")
    centres = logs[order[((np.arange(count) + 0.5) / count * len(logs)).astype(int)]]
    for _ in range(ROUNDS):
        near = np.square(logs[:, None] - centres).sum(2).argmin(1)
        moved = np.stack([logs[near == k].mean(0) if (near == k).any() else centres[k] for k in range(count)])
        if np.array_equal(moved, centres):
            break
        centres = moved
    return np.exp(centres[np.argsort(centres.sum(1), kind="stable")])


def reached(sizes: Sizes, anchors: Sizes) -> float:
    """Return the share of sizes [N, 2] that one of the anchors [A, 2] finds: the best possible recall."""
    ratio = sizes[:, None] / anchors
    return float((np.maximum(ratio, 1 / ratio).max(2).min(1) < REACH).mean())
