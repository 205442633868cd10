"""COCO's average precision and recall, of the rows of all pictures.

T IoU thresholds, R recalls, K classes, A ranges of area, M limits of detections a picture and class; n pictures, D
detections each. `objects` are those that count, int [K, A].
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pipeline.tasks.detection.assign import AREAS, IOUS
from pipeline.tasks.detection.match import Rows

RECALLS = np.linspace(0.0, 1.0, 101)
LIMITS = (1, 10, 100)
UNKNOWN = -1.0
"""The figure of a class that has no object."""


class Accumulated(NamedTuple):
    """Precision float64 [T, R, K, A, M], the best at that recall or above; recall float64 [T, K, A, M]."""

    precision: np.ndarray
    recall: np.ndarray


def accumulate(rows: Rows, objects: np.ndarray) -> Accumulated:
    """Go through the detections of all pictures by score, as pycocotools' `accumulate`; of equal ones in their order.

    What no object of a class stands against is UNKNOWN.
    """
    num_classes = len(objects)
    precision = np.full((len(IOUS), len(RECALLS), num_classes, len(AREAS), len(LIMITS)), UNKNOWN)
    recall = np.full((len(IOUS), num_classes, len(AREAS), len(LIMITS)), UNKNOWN)
    rank, orders = ranks(rows["kind"]).ravel(), class_orders(rows["kind"], rows["score"], num_classes)
    matched, ignored = (rows[name].reshape(-1, len(AREAS)) for name in ("matched", "ignored"))
    for k, a in zip(*np.nonzero(objects), strict=True):
        mine = orders[k]
        need = np.searchsorted(np.arange(objects[k, a] + 1) / objects[k, a], RECALLS)
        for m, limit in enumerate(LIMITS):
            within = mine[rank[mine] < limit]
            hits, kept = matched[within, a], ~ignored[within, a]
            for t in range(len(IOUS)):
                counted = kept >> t & 1
                right = (hits >> t & counted).astype(bool)
                curve = precision_at_hits(right, counted)
                recall[t, k, a, m] = len(curve) / objects[k, a]
                precision[t, :, k, a, m] = at_recalls(curve, need)
    return Accumulated(precision, recall)


def class_orders(kind: np.ndarray, score: np.ndarray, num_classes: int) -> list[np.ndarray]:
    """Find each class' detections among n * D, from the highest score down, then in the order of the rows."""
    order = np.lexsort((-score.ravel(), kind.ravel()))  # one sort for all classes; it is stable
    ends = np.searchsorted(kind.ravel()[order], np.arange(num_classes + 1))
    return [order[a:b] for a, b in pairwise(ends)]


def ranks(kind: np.ndarray) -> np.ndarray:
    """Count before each detection those of its class in its picture, int [n, D] of classes [n, D]."""
    order = np.argsort(kind, axis=1, kind="stable")
    sorted_kind = np.take_along_axis(kind, order, 1)
    place = np.broadcast_to(np.arange(kind.shape[1]), kind.shape)
    begins = np.ones(kind.shape, bool)
    begins[:, 1:] = sorted_kind[:, 1:] != sorted_kind[:, :-1]
    result = np.empty(kind.shape, np.int64)
    np.put_along_axis(result, order, place - np.maximum.accumulate(np.where(begins, place, 0), axis=1), 1)
    return result


def precision_at_hits(right: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Compute the best precision at each right detection or later, float64 [hits]; both are [d], by score.

    Between two hits precision only falls, so nothing else can be the best.
    """
    hits = np.flatnonzero(right)
    curve = np.arange(1, len(hits) + 1) / (counted.cumsum()[hits] + np.spacing(1))
    return np.maximum.accumulate(curve[::-1])[::-1]


def at_recalls(curve: np.ndarray, need: np.ndarray) -> np.ndarray:
    """Read off a precision a recall [R], of which each needs so many hits; 0 where there are fewer."""
    places = np.maximum(need - 1, 0)
    reached = places < len(curve)
    return np.where(reached, np.append(curve, 0.0)[np.where(reached, places, -1)], 0.0)


def class_precision(accumulated: Accumulated, iou: float | None = None, area: str = "all") -> np.ndarray:
    """AP of each class, float64 [K]: the mean over recalls and IoU thresholds, or at one; UNKNOWN without objects."""
    thresholds = slice(None) if iou is None else np.flatnonzero(np.isclose(IOUS, iou))
    return accumulated.precision[thresholds][..., AREAS.index(area), -1].mean((0, 1))


COCO_NAMES = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large"),
)


def coco_numbers(accumulated: Accumulated) -> dict[str, float]:
    """Compute the twelve numbers by which COCO ranks, in its order; means over classes that have objects.

    0 where nothing can be measured; `unmeasured` says where.
    """
    precision, recall = accumulated
    each = (
        precision[..., 0, -1],
        precision[0, ..., 0, -1],
        precision[5, ..., 0, -1],
        *(precision[..., a, -1] for a in (1, 2, 3)),
        *(recall[..., 0, m] for m in range(len(LIMITS))),
        *(recall[..., a, -1] for a in (1, 2, 3)),
    )
    return {name: mean_known(values) for name, values in zip(COCO_NAMES, each, strict=True)}


def mean_known(values: np.ndarray) -> float:
    """Return the mean of what is not UNKNOWN; 0 where nothing is known."""
    known = values[values > UNKNOWN]
    return float(known.mean()) if known.size else 0.0


def unmeasured(objects: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Say which classes, and which sizes of all classes, have no object in a split: a sentence each."""
    said = []
    if names := [name for name, count in zip(classes, objects[:, 0], strict=True) if not count]:
        said.append(f"means leave out what the split lacks: {', '.join(names)}")
    sizes = [name for name, count in zip(AREAS, objects.sum(0), strict=True) if not count]
    if sizes and "all" not in sizes:
        named = " or ".join(sizes)
        said.append(f"the split has no {named} objects: their AP and AR stand as 0 and are not measured")
    return said
