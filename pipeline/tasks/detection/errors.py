"""What goes wrong: errors by kind, what each costs, and which class was taken for which.

n pictures of D detections, K classes; `objects` are those that count, int [K, A].
"""

import numpy as np

from pipeline.tasks.detection.assign import ERRORS, IGNORED, NOBODY, RIGHT
from pipeline.tasks.detection.match import Rows
from pipeline.tasks.detection.precision import RECALLS, at_recalls, class_orders, precision_at_hits

MISSED = "missed"


def error_counts(rows: Rows, objects: np.ndarray, threshold: float) -> dict[str, int]:
    """Count the errors of detections from a score on, by their names in ERRORS, and objects that are `missed`.

    Missed is what no detection shows, not even in a wrong place or with a wrong class.
    """
    said = (rows["kind"] >= 0) & (rows["score"] >= threshold)
    numbers = np.bincount(rows["error"][said], minlength=len(ERRORS))
    covered = (rows["covers"][said] != NOBODY).sum()
    named = zip(ERRORS, numbers[: len(ERRORS)].tolist(), strict=True)
    return {**dict(named), MISSED: int(objects[:, 0].sum() - covered)}


def gains(rows: Rows, objects: np.ndarray) -> dict[str, float]:
    """Compute what AP50 would gain, were all errors of a kind mended and no other (TIDE, section 2.3).

    A wrong class or place is made right where the object is not found otherwise, and by the first that shows it; what
    else is wrong is left out. What is missed is taken from the objects.
    """
    kind, error, counts = rows["kind"], rows["error"], objects[:, 0]
    present = max(int((counts > 0).sum()), 1)
    right = (kind >= 0) & (error == RIGHT)
    wrong = (kind >= 0) & (error != RIGHT) & (error != IGNORED)
    now = _ap50s(kind, rows["score"], right, wrong, counts)
    gained = {}
    for number, name in enumerate(ERRORS):
        these = wrong & (error == number)
        mended = these & rows["mends"]
        kinds = np.where(mended, rows["covers"], kind)
        gained[name] = _ap50s(kinds, rows["score"], right | mended, wrong & ~these, counts) - now
    found = np.append(kind[right], rows["covers"][wrong & rows["mends"]])
    shown = np.bincount(found, minlength=len(counts))
    gained[MISSED] = _ap50s(kind, rows["score"], right, wrong, shown) - now
    return {name: max(gain, 0.0) / present for name, gain in gained.items()}


def _ap50s(kind: np.ndarray, score: np.ndarray, right: np.ndarray, wrong: np.ndarray, counts: np.ndarray) -> float:
    """Add up the AP of all classes; detections [n, D], objects [K]."""
    hits, counted = right.ravel(), (right | wrong).ravel()
    orders = class_orders(kind, score, len(counts))
    total = 0.0
    for k in np.flatnonzero(counts):
        curve = precision_at_hits(hits[orders[k]], counted[orders[k]])
        need = np.searchsorted(np.arange(counts[k] + 1) / counts[k], RECALLS)
        total += at_recalls(curve, need).mean()
    return total


def confusion(rows: Rows, objects: np.ndarray, threshold: float) -> np.ndarray:
    """Count which true class (row) was taken for which (column), int64 [K + 1, K + 1]; the last is the background.

    Of detections from a score on and an IoU of one half, see `assign.anyhow`.
    """
    k = len(objects)
    said = (rows["kind"] >= 0) & (rows["score"] >= threshold) & (rows["meets"] >= NOBODY)
    true, taken_for = rows["meets"][said].astype(np.int64), rows["kind"][said]
    pairs = np.where(true == NOBODY, k, true) * (k + 1) + taken_for
    matrix = np.bincount(pairs, minlength=(k + 1) ** 2).reshape(k + 1, k + 1)
    matrix[:k, k] = objects[:, 0] - matrix[:k].sum(1)
    return matrix
