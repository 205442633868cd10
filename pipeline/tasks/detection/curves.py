"""Precision, recall and F1 over the score from which a detection counts as said, at an IoU of one half.

K classes, S thresholds.
"""

from typing import NamedTuple

import numpy as np

from pipeline.tasks.detection.match import Rows, unpacked

THRESHOLDS = np.linspace(0.0, 1.0, 1001)


class Curves(NamedTuple):
    """Each float64 [K, S]."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def counts(rows: Rows, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Count what is right, and what is said, from each threshold on: int64 [K, S] twice. Ignored ones are neither."""
    said = (rows["kind"] >= 0) & ~unpacked(rows["ignored"])
    kind, score = rows["kind"][said].astype(np.int64), rows["score"][said].clip(0, 1)
    place = kind * len(THRESHOLDS) + np.searchsorted(THRESHOLDS.astype(np.float32), score, side="right") - 1
    each = (
        np.bincount(place[chosen], minlength=num_classes * len(THRESHOLDS))
        for chosen in (unpacked(rows["matched"])[said], slice(None))
    )
    right, every = (one.reshape(num_classes, -1)[:, ::-1].cumsum(1)[:, ::-1] for one in each)
    return right, every


def curves(right: np.ndarray, said: np.ndarray, objects: np.ndarray) -> Curves:
    """Compute the curves of counts [..., S] and the objects that count [...]."""
    objects = np.asarray(objects)[..., None]
    precision = right / np.maximum(said, 1)
    return Curves(precision, right / np.maximum(objects, 1), 2 * right / np.maximum(said + objects, 1))


def best(f1: np.ndarray) -> int:
    """Return the place of the threshold with the highest F1 of [S]; of a row of equals the middle one."""
    first = int(f1.argmax())
    lower = np.flatnonzero(f1[first:] < f1[first])
    return first + (int(lower[0]) - 1 if len(lower) else 0) // 2


def best_thresholds(found: Curves, pooled: float) -> np.ndarray:
    """Choose a threshold for each class by its F1, float64 [K]; `pooled` where no detection is ever right."""
    return np.array([THRESHOLDS[best(f1)] if f1.any() else pooled for f1 in found.f1])


def picture_f1(rows: Rows, threshold: float) -> np.ndarray:
    """Compute the F1 of each picture at a score, float64 [n]; 1 where there is nothing and nothing is said."""
    said = (rows["kind"] >= 0) & (rows["score"] >= threshold) & ~unpacked(rows["ignored"])
    right = (said & unpacked(rows["matched"])).sum(1)
    both = said.sum(1) + rows["objects"]
    return np.where(both > 0, 2 * right / np.maximum(both, 1), 1.0)
