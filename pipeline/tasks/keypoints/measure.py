"""What an evaluation keeps of one picture's bodies, and the figures of all: COCO's AP and AR by OKS, and PCK."""

from collections.abc import Mapping

import numpy as np

from pipeline.recipe.bodies import Skeleton
from pipeline.tasks.detection.assign import AREAS, box_areas, coco
from pipeline.tasks.detection.precision import accumulate, mean_known
from pipeline.tasks.keypoints.oks import extents, lengths, matched, right_joints, similarities

MOST = 20
"""Bodies a picture, as COCO counts them."""
NAMES = (
    *("AP", "AP50", "AP75", "AP_medium", "AP_large"),
    *("AR", "AR50", "AR75", "AR_medium", "AR_large"),
    "PCK",
)
Arrays = Mapping[str, np.ndarray]


def match(answer: Arrays, truth: Arrays, body: Skeleton) -> dict[str, np.ndarray]:
    """Match the bodies that are said of one picture with those that there are.

    answer: `keypoints` [D, J, 3] and `score` [D], the highest first, 0 where a place is empty
    truth:  as in the fields of one picture
    All are in px of the source's picture.

    Gives `score`, `kind`, `matched` and `ignored` [D, ...] as of `detection.match`, by OKS in place of IoU; `objects`
    int32 [], the bodies that count; `right` and `labelled` int16 [J], see `right_joints`; `oks` float32 [], the mean
    over bodies that count of how much what is most like each is so; `unmeasured` int16 [], of how many no length is
    known.
    """
    there = answer["score"] > 0
    points = answer["keypoints"][there]
    known = truth["kind"] >= 0
    objects = {name: truth[name][known] for name in ("keypoints", "boxes", "crowd", "area")}
    similarity = similarities(points, objects, body.sigmas)
    found = coco(similarity, objects["crowd"], box_areas(extents(points)), objects["area"])
    length = lengths(objects, body.torso, body.mirrored)
    counted = objects["crowd"] == 0
    best = matched(similarity[:, counted])
    every = np.full(len(counted), -1)
    every[counted] = best
    right, labelled = right_joints(points, objects, length, every)
    alike = np.where(best >= 0, similarity[:, counted][best, np.arange(len(best))], 0) if len(points) else 0 * best
    most = len(there)
    return {
        "score": np.where(there, answer["score"], 0).astype(np.float32),
        "kind": np.where(there, 0, -1).astype(np.int16),
        "matched": _bits(found.matched, there, most),
        "ignored": _bits(found.ignored, there, most),
        "objects": np.array(counted.sum(), np.int32),
        "right": right.astype(np.int16),
        "labelled": labelled.astype(np.int16),
        "oks": np.array(alike.mean() if counted.any() else float(not len(points)), np.float32),
        "unmeasured": np.array((counted & ~np.isfinite(length)).sum(), np.int16),
    }


def _bits(flags: np.ndarray, there: np.ndarray, most: int) -> np.ndarray:
    """Pack flags [d, A, T] of the places that are used into numbers [D, A]; threshold t is worth 2 to the t."""
    packed = np.zeros((most, len(AREAS)), np.int16)
    packed[there] = flags @ (1 << np.arange(flags.shape[-1]))
    return packed


def numbers(rows: Arrays, objects: np.ndarray) -> dict[str, float]:
    """Compute COCO's ten numbers of key points, in its order, and PCK; `objects` are those that count, int [1, A].

    0 where nothing can be measured.
    """
    precision, recall = accumulate(rows, objects)
    medium, large = AREAS.index("medium"), AREAS.index("large")
    each = (
        precision[..., 0, -1],
        precision[0, ..., 0, -1],
        precision[5, ..., 0, -1],
        *(precision[..., a, -1] for a in (medium, large)),
        recall[..., 0, -1],
        recall[0, ..., 0, -1],
        recall[5, ..., 0, -1],
        *(recall[..., a, -1] for a in (medium, large)),
    )
    return dict(zip(NAMES, (*map(mean_known, each), pck(rows)), strict=True))


def pck(rows: Arrays) -> float:
    """Return the share of labelled joints that are right; 0 where none is labelled."""
    return float(rows["right"].sum() / max(rows["labelled"].sum(), 1))
