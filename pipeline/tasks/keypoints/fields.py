"""The bodies of a batch: arrays of one width, whose empty places have the class -1.

keypoints float32 [n, C, J, 3]: x, y in px of the view and visibility, 0 where a joint is not labelled or not in the
view; boxes float32 [n, C, 4], around what became of the box; kind int16 [n, C]; crowd uint8 [n, C], 0 for a body that
counts, 1 for a crowd, UNLABELLED for one without a labelled joint; area float32 [n, C] in px2 of the source's picture;
unit float32 [n]: px of the source's picture a px of the view. unknown uint8 [n, H/8, W/8] is 1 where the view shows
what nobody labelled: crowds and bodies without labelled joints. What stands there is no background, so nothing is
learned of it.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.decode.limits import BadSample
from pipeline.decode.objects import PLAIN
from pipeline.tasks.detection.assign import UNLABELLED

if TYPE_CHECKING:
    from augment.rides import View
    from pipeline.decode.objects import Objects
    from pipeline.recipe.bodies import Skeleton
    from pipeline.tasks.base import Arrays, Layout

EMPTY = -1
"""The class of a place without a body."""
EACH = ("keypoints", "boxes", "kind", "crowd", "area")
CELL_PX = 8
"""Of the view: sides of what `unknown` tells of."""
FINER = 4
"""Bits of cv2's coordinates behind the point."""


def layout(most: int, joints: int, height: int, width: int) -> "Layout":
    """Name the fields of one sample, with room for `most` bodies."""
    return {
        "keypoints": (np.dtype(np.float32), (most, joints, 3)),
        "boxes": (np.dtype(np.float32), (most, 4)),
        "kind": (np.dtype(np.int16), (most,)),
        "crowd": (np.dtype(np.uint8), (most,)),
        "area": (np.dtype(np.float32), (most,)),
        "unit": (np.dtype(np.float32), ()),
        "unknown": (np.dtype(np.uint8), (-(-height // CELL_PX), -(-width // CELL_PX))),
    }


def joints_of(objects: "Objects", joints: int) -> np.ndarray:
    """Return x, y, v of each object's joints, float32 [N, J, 3]. BadSample for those of another body."""
    found = np.zeros((len(objects), joints, 3), np.float32)
    for place, numbers in zip(found, objects.keypoints or [None] * len(objects), strict=True):
        if numbers is not None:
            if len(numbers) != 3 * joints:
                raise BadSample(f"it has {len(numbers) / 3:g} key points an object, and task.body has {joints} joints")
            place[:] = np.reshape(numbers, (-1, 3))
    return found


def outlined(objects: "Objects", which: np.ndarray, stored: tuple[int, int]) -> list[np.ndarray]:
    """Return polygons [k, 2] around some objects, in px of the stored picture of (H, W) px: outlines, else boxes."""
    import cv2

    from pipeline.decode.outlines import runs

    polygons: list[np.ndarray] = []
    for i in np.flatnonzero(which).tolist():
        outline: Any = objects.outlines[i] if objects.outlines else None
        if isinstance(outline, dict):
            width, height = objects.size
            bits = runs(outline, width, height).astype(np.uint8)
            contours, _ = cv2.findContours(bits, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
            scale = np.array([stored[1] / width, stored[0] / height])
            polygons += [(contour[:, 0] + 0.5) * scale for contour in contours]
        elif outline:
            polygons += [np.reshape(one, (-1, 2)) for one in outline]
        else:
            polygons.append(_corners(objects.boxes[i : i + 1])[0])
    return polygons


def riding(objects: "Objects", joints: int, stored: tuple[int, int]) -> np.ndarray:
    """Return all points that go through the transforms, float32 [M, 2]: joints, corners of boxes, and polygons."""
    points = joints_of(objects, joints)
    unknown = outlined(objects, _uncounted(objects, points) > 0, stored)
    every = [points[..., :2].reshape(-1, 2), _corners(objects.boxes).reshape(-1, 2), *unknown]
    return np.concatenate(every).astype(np.float32)


def put(fields: "Arrays", i: int, objects: "Objects", view: "View", stored: tuple[int, int], body: "Skeleton") -> None:
    """Write what became of the bodies. A mirror makes a left hand a right one.

    stored: (H, W) of the stored picture in px
    """
    assert view.keypoints is not None
    assert view.frame is not None
    count, joints = len(objects), len(body.joints)
    height, width = view.pixels.shape[:2]
    points = joints_of(objects, joints)
    crowd = _uncounted(objects, points)
    moved, corners = np.split(view.keypoints[: count * (joints + 4)], [count * joints])
    points[..., :2] = moved.reshape(count, joints, 2)
    corners = corners.reshape(count, 4, 2)
    (a, b, _), (c, d, _) = view.frame.tolist()
    scale = a * d - b * c
    if scale < 0:
        points = points[:, list(body.mirrored)]
    inside = ((points[..., :2] >= 0) & (points[..., :2] < (width, height))).all(-1)
    points[~inside | (points[..., 2] == 0)] = 0
    low, high = corners.min(1), corners.max(1)
    shown = (high > 0).all(1) & (low < (width, height)).all(1)
    crowd = np.where((crowd == PLAIN) & ~(points[..., 2] > 0).any(1), UNLABELLED, crowd)
    for name, value in (("keypoints", 0), ("boxes", 0), ("kind", EMPTY), ("crowd", 0), ("area", 0), ("unknown", 0)):
        fields[name][i] = value
    fields["keypoints"][i, :count] = points
    fields["boxes"][i, :count] = np.concatenate([low, high], 1)
    fields["kind"][i, :count] = np.where(shown, objects.classes, EMPTY)
    fields["crowd"][i, :count] = crowd
    fields["area"][i, :count] = objects.areas
    whole = objects.size[0] * objects.size[1] / (stored[0] * stored[1])
    fields["unit"][i] = np.sqrt(whole / max(abs(scale), 1e-9))
    begin = count * (joints + 4)
    for polygon in outlined(objects, _uncounted(objects, joints_of(objects, joints)) > 0, stored):
        fill(fields["unknown"][i], view.keypoints[begin : begin + len(polygon)])
        begin += len(polygon)


def fill(cells: np.ndarray, polygon: np.ndarray) -> None:
    """Set the cells that a polygon [k, 2], in px, touches."""
    import cv2

    corners = np.rint((polygon / CELL_PX - 0.5) * (1 << FINER)).astype(np.int32)
    cv2.fillPoly(cells, [corners], [1], shift=FINER)


def _uncounted(objects: "Objects", points: np.ndarray) -> np.ndarray:
    """Return `crowd` of the objects, UNLABELLED where no joint is labelled: uint8 [N]."""
    bare = ~(points[..., 2] > 0).any(1)
    return np.where((objects.crowd == PLAIN) & bare, np.uint8(UNLABELLED), objects.crowd)


def _corners(boxes: np.ndarray) -> np.ndarray:
    """Return the corners of boxes [N, 4]: [N, 4, 2]."""
    return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
