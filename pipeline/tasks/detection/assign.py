"""Which detection of a picture found which object, as COCO, PASCAL VOC and TIDE decide it.

D detections, the highest score first; N objects; A ranges of area; T IoU thresholds. Boxes are float [.., 4] in px:
x0, y0, x1, y1, edges. `crowd` of an object is 0, or 1 for a crowd (COCO), or 2 for one that neither counts as found
nor as missed (VOC's difficult), or UNLABELLED for such a one that is found once at most (COCO's without key points).
"""

from typing import NamedTuple

import numpy as np

IOUS = np.linspace(0.5, 0.95, 10)
AREAS_PX2 = np.array([(0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10)])
"""All, small, medium and large objects of COCO; both ends belong to a range."""
AREAS = ("all", "small", "medium", "large")
FOUND = 0.5
"""IoU from which a detection has found an object, where one threshold has to do."""
NEAR = 0.1
"""IoU below which a detection shows no object at all (TIDE)."""
NOBODY = -1
UNLABELLED = 3


def overlaps(boxes: np.ndarray, objects: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Compute IoU float64 [D, N]; with a crowd it is what of the detection lies in it.

    The operations are pycocotools' own, in its order, so that thresholds are met by the same bits.
    """
    one, other = boxes.astype(np.float64)[:, None], objects.astype(np.float64)[None]
    width, height = np.moveaxis(
        np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2]), 2, 0
    )
    shared = width.clip(0) * height.clip(0)
    area = box_areas(boxes)[:, None]
    either = np.where(crowd == 1, area, area + box_areas(objects) - shared)
    return np.divide(shared, either, out=np.zeros_like(shared), where=shared > 0)


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """Compute areas of boxes [n, 4] in px2, float64 [n]."""
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    return sides[:, 0] * sides[:, 1]


def outside(areas: np.ndarray) -> np.ndarray:
    """Tell which areas in px2 [n] each of COCO's ranges leaves out, bool [A, n]."""
    return (areas < AREAS_PX2[:, :1]) | (areas > AREAS_PX2[:, 1:])


class Found(NamedTuple):
    """COCO's matching: bool [D, A, T] twice, and the object of each detection at `FOUND` in all areas, int [D]."""

    matched: np.ndarray
    ignored: np.ndarray
    """Neither right nor wrong: matched with an object that does not count, or with none and out of the range."""
    object: np.ndarray
    """NOBODY where there is none."""


def coco(overlap: np.ndarray, crowd: np.ndarray, detected_px2: np.ndarray, object_px2: np.ndarray) -> Found:
    """Match detections with objects: each takes the best that is free, those that count before those that do not.

    pycocotools' `evaluateImg`, for all classes of a picture at once. Of equal overlaps the later object is taken. What
    does not count is a crowd, which is never used up, and whatever is UNLABELLED or out of the range.

    overlap:                   [D, N], 0 between different classes
    detected_px2, object_px2:  areas [D] and [N]
    """
    uncounted, endless = outside(object_px2) | (crowd > 0), (crowd > 0) & (crowd != UNLABELLED)
    near = overlap >= IOUS[0]
    hard = _chosen_among(near)
    # Other objects are taken by the first detection that overlaps enough, whatever the area.
    easy = (overlap[..., None] >= IOUS) & ~hard[:, None]
    easy &= (easy.cumsum(0) == 1) | endless[:, None]
    matched = np.repeat(easy.any(1)[:, None], len(AREAS), 1)
    ignored = (easy[:, None] & uncounted[..., None]).any(2)
    objects = np.where(matched[:, 0, 0], _argmax(easy[..., 0]), NOBODY)
    free = np.ones((len(AREAS), len(IOUS), len(crowd)), bool)
    grid = np.ogrid[: len(AREAS), : len(IOUS)]
    for d in np.flatnonzero(near[:, hard].any(1)):
        these = np.flatnonzero(near[d])[::-1]
        usable = free[..., these] & (overlap[d, these] >= IOUS[:, None])
        counted = usable & ~uncounted[:, None, these]
        usable = np.where(counted.any(-1, keepdims=True), counted, usable)
        best = these[np.where(usable, overlap[d, these], -1).argmax(-1)]
        matched[d] = usable.any(-1)
        ignored[d] = matched[d] & uncounted[grid[0], best]
        free[(*grid, best)] &= ~matched[d] | endless[best]
        objects[d] = best[0, 0] if matched[d, 0, 0] else NOBODY
    ignored |= ~matched & outside(detected_px2).T[..., None]
    return Found(matched, ignored, objects)


def voc(overlap: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Judge detections as PASCAL VOC's development kit: 1 right, 0 wrong, 2 ignored, int8 [D]; overlap as in `coco`.

    Each looks at the object that it overlaps most, by more than one half, and at no other; the first is right. Its
    widths are `xmax - xmin + 1` of inclusive px, which are those of our edges.
    """
    judged = np.zeros(len(overlap), np.int8)
    if not overlap.size:
        return judged
    best = overlap.argmax(1)
    over = overlap.max(1) > FOUND
    judged[over & (crowd[best] > 0)] = 2
    seen = np.flatnonzero(over & (crowd[best] == 0))
    judged[seen[_firsts(best[seen])]] = 1
    return judged


ERRORS = ("class", "place", "both", "duplicate", "background")
RIGHT, IGNORED = len(ERRORS), len(ERRORS) + 1
"""What `blame` says beside the numbers of ERRORS."""


class Blame(NamedTuple):
    """Why each detection is wrong, int8 [D]: a number of ERRORS, RIGHT or IGNORED; and what became of objects."""

    error: np.ndarray
    covers: np.ndarray
    """int [D]: the object that this detection is the first to show, with the right class or place at least."""
    mends: np.ndarray
    """bool [D]: with its error mended it would be the first to find the object that it covers."""


def blame(overlap: np.ndarray, same: np.ndarray, counted: np.ndarray, found: Found) -> Blame:
    """Sort errors as TIDE does (Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors",
    section 2.2): wrong in place (IoU below `FOUND` with its class), class (with another class), both, a duplicate, or
    background.

    overlap: IoU [D, N]; same: bool [D, N], equal classes; counted: bool [N], objects that count.
    """
    right = found.matched[:, 0, 0] & ~found.ignored[:, 0, 0]
    error = np.full(len(overlap), ERRORS.index("background"), np.int8)
    target = np.where(right, found.object, NOBODY)
    if counted.any():
        own, other = np.where(same & counted, overlap, 0), np.where(~same & counted, overlap, 0)
        ours, others = own.max(1), other.max(1)
        error[np.maximum(ours, others) >= NEAR] = ERRORS.index("both")
        error[ours >= FOUND] = ERRORS.index("duplicate")
        error[misnamed := others >= FOUND] = ERRORS.index("class")
        error[misplaced := (ours >= NEAR) & (ours < FOUND)] = ERRORS.index("place")
        target = np.where(misplaced, own.argmax(1), np.where(misnamed, other.argmax(1), NOBODY))
    error[found.ignored[:, 0, 0]] = IGNORED
    error[right] = RIGHT
    target = np.where(right, found.object, np.where(error == IGNORED, NOBODY, target))
    first = np.zeros(len(target), bool)
    first[_firsts(target)] = True
    first &= target != NOBODY
    return Blame(error, np.where(first, target, NOBODY), first & ~np.isin(target, target[right]))


def anyhow(overlap: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Match with objects of any class: each detection takes the best that is free and overlaps by `FOUND`.

    int [D]: the object, NOBODY, or -2 where it lies on one that does not count. A confusion matrix is made of it.
    """
    near = (overlap >= FOUND) & counted
    hard = _chosen_among(near)
    easy = near & ~hard
    easy &= easy.cumsum(0) == 1
    taken = np.where(easy.any(1), _argmax(easy), NOBODY)
    free = hard.copy()
    for d in np.flatnonzero(near[:, hard].any(1)):
        usable = np.where(near[d] & free, overlap[d], 0)
        if usable.any():
            taken[d] = usable.argmax()
            free[taken[d]] = False
    uncounted = ((overlap >= FOUND) & ~counted).any(1)
    return np.where((taken == NOBODY) & uncounted, NOBODY - 1, taken)


def _chosen_among(near: np.ndarray) -> np.ndarray:
    """Tell which objects are near a detection that is near another, too: bool [N] of [D, N]."""
    return near[near.sum(1) > 1].any(0)


def _argmax(flags: np.ndarray) -> np.ndarray:
    """Return the first that is set of each row of [D, N], 0 where none is, and where there are no columns."""
    return flags.argmax(1) if flags.shape[1] else np.zeros(len(flags), np.int64)


def _firsts(values: np.ndarray) -> np.ndarray:
    """Find the places at which each of the values [D] stands for the first time."""
    return np.unique(values, return_index=True)[1]
