"""How well masks of a picture's objects are found: IoU of masks and of their boundaries, matched as COCO does.

D detections, N objects, Q layers of a picture of H x W px, see `fields`.
"""

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np

from pipeline.tasks.detection.assign import coco
from pipeline.tasks.detection.match import best_places, bits, padded

HALF = 0.5
BOUNDARY = 0.02
"""Of the picture's diagonal: how wide the boundary of a mask is (Cheng et al. 2021, "Boundary IoU")."""
KINDS = ("mask", "boundary")


class Piece(NamedTuple):
    """A mask bool [h, w] that begins at (left, top) of its picture in px."""

    left: int
    top: int
    bits: np.ndarray

    @property
    def places(self) -> tuple[slice, slice]:
        """Rows and columns."""
        height, width = self.bits.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def paste(mask: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Piece:
    """Bring a mask float [M, M] of a box, corners in px, to the px of its picture of `size` (H, W).

    A pixel is the object's where the mask, read between its places and 0 beside them, is more than one half in the
    pixel's middle: mmdet's way, which does not make the box one px larger.
    """
    edges = np.concatenate([np.floor(box[:2]), np.ceil(box[2:])])
    x0, y0, x1, y1 = np.clip(edges, 0, [size[1], size[0]] * 2).astype(int).tolist()
    rows = _weights(np.arange(y0, y1), box[1], box[3], len(mask))
    columns = _weights(np.arange(x0, x1), box[0], box[2], len(mask))
    return Piece(x0, y0, rows @ mask.astype(np.float64) @ columns.T > HALF)


def _weights(px: np.ndarray, low: float, high: float, places: int) -> np.ndarray:
    """Return how much of each place each px along a side takes: float64 [px, places]."""
    at = (px + 0.5 - low) / max(high - low, 1e-6) * places - 0.5
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(places)))


def boundary(piece: np.ndarray, width_px: int) -> np.ndarray:
    """Return the pixels of a mask bool [h, w] that are so near to others, or to its array's border."""
    inside = cv2.erode(
        np.pad(piece, 1).astype(np.uint8), np.ones((3, 3), np.uint8), iterations=width_px, borderValue=0
    )[1:-1, 1:-1]
    return piece & (inside == 0)


def objects_of(layers: np.ndarray, boxes: np.ndarray) -> list[Piece]:
    """Cut the masks of objects out of layers int [Q, H, W], by their boxes [N, 4]; object i has the number i + 1."""
    pieces = []
    height, width = layers.shape[1:]
    for number, box in enumerate(boxes, 1):
        left, top = np.floor(box[:2]).clip(0).astype(int).tolist()
        right, bottom = np.ceil(box[2:]).clip(0, [width, height]).astype(int).tolist()
        pieces.append(Piece(left, top, (layers[:, top:bottom, left:right] == number).any(0)))
    return pieces


def overlaps(found: list[Piece], true: list[Piece], crowd: np.ndarray) -> np.ndarray:
    """Compute IoU float64 [D, N] of masks; with a crowd it is what of the detection lies in it."""
    shared = np.zeros((len(found), len(true)))
    areas = [np.array([piece.bits.sum() for piece in pieces], np.float64) for pieces in (found, true)]
    for d, one in enumerate(found):
        for n, other in enumerate(true):
            top, left = max(one.top, other.top), max(one.left, other.left)
            bottom = min(one.top + one.bits.shape[0], other.top + other.bits.shape[0])
            right = min(one.left + one.bits.shape[1], other.left + other.bits.shape[1])
            if top < bottom and left < right:
                first = one.bits[top - one.top : bottom - one.top, left - one.left : right - one.left]
                second = other.bits[top - other.top : bottom - other.top, left - other.left : right - other.left]
                shared[d, n] = np.count_nonzero(first & second)
    either = np.where(crowd == 1, areas[0][:, None], areas[0][:, None] + areas[1] - shared)
    return np.divide(shared, either, out=np.zeros_like(shared), where=shared > 0)


def match_masks(
    answer: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], unit: float, most: int
) -> dict[str, np.ndarray]:
    """Match the masks of one picture: `mask_matched`, `mask_ignored`, `boundary_matched` and `boundary_ignored`.

    answer: as of `detection.match`, and `masks` [any, M, M] of its boxes
    truth:  likewise, and `layers` [Q, H, W]
    unit:   px of the source's picture a px; boxes are in px of the layers
    """
    chosen, there = best_places(answer, most), truth["kind"] >= 0
    size = truth["layers"].shape[1:]
    found = [paste(answer["masks"][d], answer["boxes"][d], size) for d in chosen.tolist()]
    every = objects_of(truth["layers"], truth["boxes"])
    true = [piece for piece, counts in zip(every, there.tolist(), strict=True) if counts]
    crowd = truth["crowd"][there]
    same = answer["kind"][chosen][:, None] == truth["kind"][there]
    areas = np.array([piece.bits.sum() for piece in found], np.float64) * unit**2
    iou = np.where(same, overlaps(found, true, crowd), 0)
    width_px = max(1, round(BOUNDARY * float(np.hypot(*size))))
    rims = [[piece._replace(bits=boundary(piece.bits, width_px)) for piece in pieces] for pieces in (found, true)]
    either = {"mask": iou, "boundary": np.minimum(iou, overlaps(rims[0], rims[1], crowd))}
    rows = {}
    for kind, overlap in either.items():
        matching = coco(overlap, crowd, areas, truth["area"][there])
        rows[f"{kind}_matched"] = padded(bits(matching.matched), np.int16, most, 0)
        rows[f"{kind}_ignored"] = padded(bits(matching.ignored), np.int16, most, 0)
    return rows
