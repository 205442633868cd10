"""What an evaluation keeps of one picture: a row of fixed size, all that COCO, PASCAL VOC and TIDE make of it.

Neither boxes nor objects are in it, so that it is small, and rows of all pictures laid one below the other, in the
order of samples, give the same figures whoever matched them. D places for detections, N objects, K classes, n pictures.
"""

from collections.abc import Mapping

import numpy as np

from pipeline.tasks.detection.assign import NOBODY, anyhow, blame, box_areas, coco, outside, overlaps, voc

MOST = 100
"""Detections a picture, as COCO counts them."""
Rows = Mapping[str, np.ndarray]
"""Arrays [n, D, ...] by the names of `match`."""


def match(answer: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], most: int = MOST) -> dict[str, np.ndarray]:
    """Match the detections of one picture with its objects.

    answer: `boxes` [any, 4], `score` [any], `kind` [any], -1 where a place is empty; the best `most` are looked at
    truth:  `boxes` [N, 4], `kind` [N], `crowd` [N] (see `assign`), `area` [N] in px2, by which COCO parts small from
            large; `kind` -1 where a place is empty
    Boxes and areas of both are in px of the same picture, which should be the source's: COCO's sizes are in its px.

    Gives arrays [D = most, ...], the highest score first; of equal scores the first stays first:

    score    float32 [D]
    kind     int16 [D]    the class, -1 where there is no detection
    matched  int16 [D, A] bit t is set where it has found an object of its class at the IoU threshold t of COCO
    ignored  int16 [D, A] bit t is set where it is neither right nor wrong
    voc      int8 [D]     see `assign.voc`
    error    int8 [D]     see `assign.blame`
    covers   int16 [D]    the class of the object that it is the first to show, -1 where there is none
    mends    bool [D]     whether it would find that object, were its error mended
    meets    int16 [D]    the class of the object that it lies on, see `assign.anyhow`; -1 for background, -2 ignored
    objects  int32 []     the objects that count
    said     bool [D]     as in the answer, where it has it
    """
    chosen = best_places(answer, most)
    boxes, kind = answer["boxes"][chosen], answer["kind"][chosen]
    there = truth["kind"] >= 0
    objects, kinds, crowd, area = (truth[name][there] for name in ("boxes", "kind", "crowd", "area"))
    counted = crowd == 0
    overlap, same = overlaps(boxes, objects, crowd), kind[:, None] == kinds
    own = np.where(same, overlap, 0)
    found = coco(own, crowd, box_areas(boxes), area)
    blamed = blame(overlap, same, counted, found)
    named = np.append(kinds, (NOBODY - 1, NOBODY))  # by number of the object; -1 and -2 count from the end
    columns = {
        "score": (answer["score"][chosen], np.float32, 0),
        "kind": (kind, np.int16, -1),
        "matched": (bits(found.matched), np.int16, 0),
        "ignored": (bits(found.ignored), np.int16, 0),
        "voc": (voc(own, crowd), np.int8, 0),
        "error": (blamed.error, np.int8, 0),
        "covers": (named[blamed.covers], np.int16, -1),
        "mends": (blamed.mends, np.bool_, False),
        "meets": (named[anyhow(overlap, counted)], np.int16, -1),
    }
    if "said" in answer:
        columns["said"] = (answer["said"][chosen], np.bool_, False)
    rows = {name: padded(values, dtype, most, empty) for name, (values, dtype, empty) in columns.items()}
    return rows | {"objects": np.array(counted.sum(), np.int32)}


def best_places(answer: Mapping[str, np.ndarray], most: int = MOST) -> np.ndarray:
    """Return the places of the best answers, int [d], at most `most`, the highest score first."""
    chosen = np.flatnonzero(answer["kind"] >= 0)
    return chosen[np.argsort(-answer["score"][chosen], kind="stable")[:most]]


def count_objects(truth: Mapping[str, np.ndarray], num_classes: int) -> np.ndarray:
    """Count a picture's objects of each class and range of area, int64 [K, A], without those that do not count."""
    counted = (truth["kind"] >= 0) & (truth["crowd"] == 0)
    inside = ~outside(truth["area"][counted])
    kind = truth["kind"][counted]
    return np.stack([np.bincount(kind[each], minlength=num_classes) for each in inside], 1)


def unpacked(packed: np.ndarray, area: int = 0, threshold: int = 0) -> np.ndarray:
    """Return one of the bits of `matched` or `ignored` [..., A] as bool [...]."""
    return packed[..., area] >> threshold & 1 > 0


def bits(flags: np.ndarray) -> np.ndarray:
    """Pack flags [D, A, T] into numbers [D, A]; threshold t is worth 2 to the t."""
    return flags @ (1 << np.arange(flags.shape[-1]))


def padded(values: np.ndarray, dtype: type, length: int, empty: int) -> np.ndarray:
    """Fill values [d, ...] up to [length, ...]."""
    full = np.full((length, *values.shape[1:]), empty, dtype)
    full[: len(values)] = values
    return full
