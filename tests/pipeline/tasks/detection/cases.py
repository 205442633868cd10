"""Made pictures with objects and detections, and what pycocotools says of them."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.base.keyed import generator
from pipeline.tasks.detection.match import count_objects, match

Arrays = dict[str, np.ndarray]
Pair = tuple[Arrays, Arrays]
"""An answer and a truth."""
Pairs = list[Pair]


def arrays(boxes: npt.ArrayLike = (), **columns: npt.ArrayLike) -> Arrays:
    """Boxes [n, 4] and columns [n]; in a truth areas are those of the boxes, and nothing is a crowd."""
    edges = np.array(boxes, np.float32).reshape(-1, 4)
    made: Arrays = {"boxes": edges, "kind": np.array(columns.get("kind", []), np.int64)}
    if "score" in columns:
        return {**made, "score": np.array(columns["score"], np.float32)}
    sides = edges[:, 2:] - edges[:, :2]
    crowd = np.array(columns.get("crowd", np.zeros(len(edges))), np.uint8)
    return {**made, "crowd": crowd, "area": np.array(columns.get("area", sides.prod(1)), np.float32)}


def pictures(
    seed: int, count: int, num_classes: int, most: int = 12, objects: int = 6, ties: bool = True
) -> list[Pair]:
    """Pictures of 0 to `most` detections and 0 to `objects` objects, near each other, of all sizes.

    Class 1 has no object, and the last is hardly there; every fifth object is a crowd or ignored. On a grid of 4 px
    overlaps and scores tie.
    """
    rng = generator("detection cases", seed)
    made = []
    for _ in range(count):
        n, d = int(rng.integers(0, objects + 1)), int(rng.integers(0, most + 1))
        step = 4 if ties else 1e-3
        corner = rng.integers(0, int(200 / step), (n, 2)) * step
        side = rng.integers(1, int(120 / step), (n, 2)) * step
        kind = rng.integers(0, num_classes, n)
        truth = arrays(
            np.concatenate([corner, corner + side], 1),
            kind=np.where(kind == 1, 0, kind),
            crowd=rng.choice([0, 0, 0, 0, 0, 0, 0, 0, 1, 2], n),
            area=side.prod(1) * rng.choice([0.5, 1.0], n),
        )
        meant = rng.integers(0, n, d) if n else np.zeros(d, int)
        near = truth["boxes"][meant] if n else rng.integers(0, 60, (d, 4)) + np.array([0, 0, 60, 60])
        boxes = near + rng.integers(-4, 5, (d, 4)) * rng.choice([0, 1, 2, 8], (d, 1)) * (1 if ties else 1.0001)
        boxes = np.concatenate([boxes[:, :2], np.maximum(boxes[:, 2:], boxes[:, :2] + 1)], 1)
        said = np.where(rng.random(d) < 0.7, truth["kind"][meant] if n else 0, rng.integers(0, num_classes, d))
        score = rng.integers(1, 9, d) / 8 if ties else rng.random(d)
        made.append((arrays(boxes, kind=said, score=score), truth))
    return made


def rows_of(pairs: Sequence[Pair], most: int = 100) -> Arrays:
    """Rows of pictures, laid together."""
    each = [match(*pair, most) for pair in pairs]
    return {name: np.stack([one[name] for one in each]) for name in each[0]}


def objects_of(pairs: Sequence[Pair], num_classes: int) -> np.ndarray:
    """Objects of all pictures [K, A]."""
    return np.sum([count_objects(truth, num_classes) for _, truth in pairs], 0)


class Ignoring(COCOeval):
    """pycocotools with objects of crowd 2: ignored as a crowd is, but with IoU."""

    def computeIoU(self, imgId: int, catId: int) -> Any:
        objects, found = self._gts[imgId, catId], self._dts[imgId, catId]
        if not objects and not found:
            return []
        order = np.argsort([-one["score"] for one in found], kind="mergesort")[: self.params.maxDets[-1]]
        crowd = [int(one["crowd"] == 1) for one in objects]
        return mask.iou([found[i]["bbox"] for i in order], [one["bbox"] for one in objects], crowd)


def as_coco(pairs: Sequence[Pair], num_classes: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A data set and results as COCO writes them; categories are counted from 0, objects from 1."""
    objects: list[dict[str, Any]] = []
    found = []
    for i, (answer, truth) in enumerate(pairs):
        columns = (truth[name].tolist() for name in ("boxes", "kind", "crowd", "area"))
        for box, kind, crowd, area in zip(*columns, strict=True):
            x0, y0, x1, y1 = box
            one = {"id": len(objects) + 1, "image_id": i, "category_id": kind, "bbox": [x0, y0, x1 - x0, y1 - y0]}
            objects.append(one | {"area": area, "iscrowd": int(crowd > 0), "crowd": crowd})
        for box, kind, score in zip(*(answer[name].tolist() for name in ("boxes", "kind", "score")), strict=True):
            x0, y0, x1, y1 = box
            found.append({"image_id": i, "category_id": kind, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score})
    images = [{"id": i, "width": 400, "height": 400} for i in range(len(pairs))]
    categories = [{"id": k, "name": str(k)} for k in range(num_classes)]
    return {"info": {}, "images": images, "annotations": objects, "categories": categories}, found


def by_pycocotools(pairs: Sequence[Pair], num_classes: int) -> COCOeval:
    """The evaluation, accumulated and summed up."""
    dataset, found = as_coco(pairs, num_classes)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dataset
        truth.createIndex()
        evaluation = Ignoring(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation
