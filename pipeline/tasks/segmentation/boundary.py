"""Boundary F1: how well outlines are met, which IoU hardly tells of large objects."""

import cv2
import numpy as np

from pipeline.decode.values import IGNORED

TOLERANCE = 0.0075
"""A share of a picture's diagonal."""


def boundary_f1(answer: np.ndarray, mask: np.ndarray, num_classes: int) -> np.ndarray:
    """Measure F1 of each class in a picture, float32 [K]; NaN for one without a boundary in either.

    Csurka, Larlus and Perronnin 2013, section 3: precision is the share of the answer's boundary pixels that lie closer
    than 0.75 % of the diagonal to the truth's boundary of the same class, recall the other way round. A class counts
    where either has a boundary; its figure is the mean over such pictures. answer and mask are uint8 [H, W]; what is
    ignored is cut out of both, and its edge is a boundary; the edge of the picture is none.
    """
    tolerance_px = TOLERANCE * float(np.hypot(*mask.shape))
    answer = np.where(mask == IGNORED, mask, answer)
    f1 = np.full(num_classes, np.nan, np.float32)
    for k in range(num_classes):
        said, true = boundary(answer == k), boundary(mask == k)
        if said.any() or true.any():
            f1[k] = 0
        if said.any() and true.any():
            precision, recall = _near(said, true, tolerance_px), _near(true, said, tolerance_px)
            f1[k] = 2 * precision * recall / max(precision + recall, 1e-12)
    return f1


def boundary(region: np.ndarray) -> np.ndarray:
    """Find the pixels of a region, bool [H, W], that have one of their four neighbours in the picture outside of it."""
    padded = np.pad(region, 1, "edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    found: np.ndarray = region & ~inner
    return found


def _near(pixels: np.ndarray, others: np.ndarray, tolerance_px: float) -> float:
    """Compute the share of `pixels` that are closer than that to one of the `others`."""
    distances = cv2.distanceTransform((~others).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float((distances[pixels] < tolerance_px).mean())
