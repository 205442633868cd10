"""U-Net's border weights: what separates two neighbours counts more."""

import cv2
import numpy as np

LARGEST = 10.0
SIGMA_PX = 5.0
REACH_PX = 30
"""Farther than 6 sigma from the second nearest object a weight is below 2e-7 of the largest, and taken for 0."""


def border_weights(instances: np.ndarray) -> np.ndarray:
    """float32 [H, W]: w0 exp(-(d1 + d2)^2 / (2 sigma^2)) of instances uint16 [H, W], where 0 is background.

    Ronneberger, Fischer and Brox 2015, equation 2, with w0 = 10 and sigma = 5 px; d1 and d2 are the distances in px to
    the nearest object and to the second nearest. It is 0 in objects: only what lies between two is a border. A pixel's
    weight in the loss is 1 + this, times its class' weight; the paper adds that weight, which is the same where it
    is 1.
    """
    height, width = instances.shape
    nearest, second = (np.full(instances.shape, np.inf, np.float32) for _ in range(2))
    for number, (top, left, bottom, right) in _boxes(instances).items():
        rows = slice(max(top - REACH_PX, 0), min(bottom + REACH_PX, height))
        columns = slice(max(left - REACH_PX, 0), min(right + REACH_PX, width))
        others = (instances[rows, columns] != number).astype(np.uint8)
        distances = cv2.distanceTransform(others, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        near, far = nearest[rows, columns], second[rows, columns]
        np.minimum(far, np.maximum(near, distances), out=far)
        np.minimum(near, distances, out=near)
    weights = LARGEST * np.exp(-((nearest + second) ** 2) / (2 * SIGMA_PX**2))
    return np.where((instances == 0) & (second <= REACH_PX), weights, 0).astype(np.float32)


def _boxes(instances: np.ndarray) -> dict[int, tuple[int, int, int, int]]:
    """Number -> top, left, bottom and right of each object's box."""
    places = np.flatnonzero(instances)
    numbers = instances.ravel()[places]
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    if not len(found):
        return {}
    rows, columns = np.divmod(places[order], instances.shape[1])
    edges = [np.minimum.reduceat(axis, starts) for axis in (rows, columns)]
    edges += [np.maximum.reduceat(axis, starts) + 1 for axis in (rows, columns)]
    return dict(zip(found.tolist(), zip(*(edge.tolist() for edge in edges), strict=True), strict=True))
