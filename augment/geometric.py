"""Affine operations: matrices, and the one warp that applies them.

A matrix is float64 `[3, 3]` and maps a point (x, y, 1) of the input to the output. Coordinates run from the picture's
upper left corner, x to the right and y downwards, so the middle of the first pixel lies at (0.5, 0.5).
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]


def shear_x(slope: float) -> Matrix:
    """Move every row right by `slope` times its distance from the upper edge."""
    return np.array([[1, slope, 0], [0, 1, 0], [0, 0, 1.0]])


def shear_y(slope: float) -> Matrix:
    """Move every column down by `slope` times its distance from the left edge."""
    return np.array([[1, 0, 0], [slope, 1, 0], [0, 0, 1.0]])


def translate(x_px: float, y_px: float) -> Matrix:
    """Move right by `x_px` and down by `y_px`."""
    return np.array([[1, 0, x_px], [0, 1, y_px], [0, 0, 1.0]])


def rotate(degrees: float, height: int, width: int) -> Matrix:
    """Turn counter-clockwise about the middle of a picture of `height` x `width` px."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = width / 2, height / 2
    return np.array([[cos, sin, x - cos * x - sin * y], [-sin, cos, y + sin * x - cos * y], [0, 0, 1]])


def at_pixel_centres(matrix: Matrix) -> Matrix:
    """Return the same map for coordinates in which (0, 0) is the middle of the first pixel, as OpenCV counts."""
    (a, b, c), (d, e, f), _ = matrix.tolist()
    return np.array([[a, b, c + (a + b - 1) / 2], [d, e, f + (d + e - 1) / 2], [0, 0, 1]])


def warp(frame: UInt8Array, matrix: Matrix, fill: tuple[float, ...]) -> UInt8Array:
    """Apply `matrix` to uint8 `[H, W, 3]` with the nearest pixel, `fill` where there is none."""
    height, width = frame.shape[:2]
    return cv2.warpAffine(  # type: ignore[return-value]  # cv2's hints leave the dtype open
        frame,
        at_pixel_centres(matrix)[:2],
        (width, height),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=fill,
    )
