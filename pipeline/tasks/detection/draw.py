"""Pictures with boxes: what is there, what a model says, and how the two agree."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.figures.boxes import Box, Colour, bright, draw_boxes
from pipeline.figures.drawing import Drawing
from pipeline.tasks.detection.assign import ERRORS, IGNORED, NOBODY, RIGHT, blame, box_areas, coco, overlaps

FOUND, MISNAMED, FALSE, LOST, UNCOUNTED = (60, 220, 90), (255, 150, 0), (255, 60, 60), (70, 170, 255), (170, 170, 170)
"""Green: right. Orange: the wrong class. Red: wrong otherwise. Blue and dashed: missed. Grey: does not count."""
NAMED = 3
"""Classes that stand in a line about a picture."""
Arrays = Mapping[str, np.ndarray]


def truth(pixels: np.ndarray, objects: Arrays, classes: Sequence[str]) -> Drawing:
    """Draw objects, a colour a class; dashed what does not count. `objects` as in `match`."""
    there = np.flatnonzero(objects["kind"] >= 0)
    kinds, crowd = objects["kind"][there], objects["crowd"][there]
    boxes = [
        Box(box, classes[kind] + ("", " (crowd)", " (ignored)")[how], bright(kind), how > 0)
        for box, kind, how in zip(objects["boxes"][there].tolist(), kinds.tolist(), crowd.tolist(), strict=True)
    ]
    return Drawing(draw_boxes(pixels, boxes), counted_words(kinds, classes))


def said(pixels: np.ndarray, answer: Arrays, classes: Sequence[str]) -> Drawing:
    """Draw detections, a colour a class, and their scores; `answer` as in `match`, the highest score first."""
    there = np.flatnonzero(answer["kind"] >= 0)
    boxes = [
        Box(box, f"{classes[kind]} {score:.2f}", bright(kind))
        for box, kind, score in zip(*(answer[name][there].tolist() for name in ("boxes", "kind", "score")), strict=True)
    ]
    return Drawing(draw_boxes(pixels, boxes), counted_words(answer["kind"][there], classes))


def compared(
    pixels: np.ndarray, answer: Arrays, objects: Arrays, classes: Sequence[str], threshold: float = 0.0
) -> Drawing:
    """Draw detections from a score on as right, wrong in class, or wrong otherwise, and the objects that are missed.

    An object that is there with a wrong class or place is drawn by that detection alone. It is right as a whole when
    nothing is wrong.
    """
    there = np.flatnonzero((answer["kind"] >= 0) & (answer["score"] >= threshold))
    there = there[np.argsort(-answer["score"][there], kind="stable")]
    boxes, kinds = answer["boxes"][there], answer["kind"][there]
    known = objects["kind"] >= 0
    true, true_kinds, crowd, area = (objects[name][known] for name in ("boxes", "kind", "crowd", "area"))
    overlap, same = overlaps(boxes, true, crowd), kinds[:, None] == true_kinds
    found = coco(np.where(same, overlap, 0), crowd, box_areas(boxes), area)
    error, covers, _ = blame(overlap, same, crowd == 0, found)
    drawn = [
        Box(box, f"{classes[kind]} {score:.2f}{_remark(int(why))}", _colour(int(why)))
        for box, kind, score, why in zip(
            boxes.tolist(), kinds.tolist(), answer["score"][there].tolist(), error, strict=True
        )
    ]
    missed = np.setdiff1d(np.flatnonzero(crowd == 0), covers[covers != NOBODY])
    drawn += [Box(true[i].tolist(), f"{classes[true_kinds[i]]}: missed", LOST, True) for i in missed.tolist()]
    right, wrong = int((error == RIGHT).sum()), int((error < RIGHT).sum())
    words = f"{right} of {int((crowd == 0).sum())} found, {wrong} wrong"
    return Drawing(draw_boxes(pixels, drawn), words, not wrong and right == int((crowd == 0).sum()))


def counted_words(kinds: np.ndarray, classes: Sequence[str]) -> str:
    """Count a picture's most frequent classes: "3 x cell, 1 x platelet"."""
    numbers = np.bincount(kinds, minlength=len(classes))
    most = [k for k in np.argsort(-numbers, kind="stable").tolist() if numbers[k]]
    more = [f"{len(most) - NAMED} more classes"] if len(most) > NAMED else []
    return ", ".join([f"{numbers[k]} x {classes[k]}" for k in most[:NAMED]] + more) or "nothing"


def _colour(error: int) -> Colour:
    return {RIGHT: FOUND, IGNORED: UNCOUNTED, ERRORS.index("class"): MISNAMED}.get(error, FALSE)


def _remark(error: int) -> str:
    return f": {ERRORS[error]}" if error < RIGHT else ""
