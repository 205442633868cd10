"""Several looks at one picture, or at the frames of a clip, in evaluation."""

from collections.abc import Callable

import numpy as np

from pipeline.base.errors import ZoetropeError


def three_crops(pixels: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """Cut three crops that lie evenly along the longer side: uint8 [..., H, W, 3] to three [..., height, width, 3].

    ZoetropeError when they do not fit.
    """
    spare_y, spare_x = _spare(pixels, height, width)
    wide = pixels.shape[-2] >= pixels.shape[-3]
    corners = [(spare_y // 2, spare_x * i // 2) if wide else (spare_y * i // 2, spare_x // 2) for i in range(3)]
    return [_cut(pixels, *corner, height, width) for corner in corners]


def five_crops(pixels: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """Cut the corners, the upper ones first, and the centre: uint8 [..., H, W, 3] to five [..., height, width, 3].

    Krizhevsky et al. 2012, section 4.1. ZoetropeError when they do not fit.
    """
    spare_y, spare_x = _spare(pixels, height, width)
    corners = [(0, 0), (0, spare_x), (spare_y, 0), (spare_y, spare_x), (spare_y // 2, spare_x // 2)]
    return [_cut(pixels, *corner, height, width) for corner in corners]


def ten_crops(pixels: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """Cut `five_crops`, and mirror each from left to right behind them.

    ZoetropeError when they do not fit.
    """
    five = five_crops(pixels, height, width)
    return [*five, *(crop[..., ::-1, :] for crop in five)]


CROPS: dict[int, Callable[[np.ndarray, int, int], list[np.ndarray]]] = {3: three_crops, 5: five_crops, 10: ten_crops}
"""By their number."""


def _spare(pixels: np.ndarray, height: int, width: int) -> tuple[int, int]:
    """Return how many px of height and of width a crop leaves. ZoetropeError when it does not fit."""
    spare_y, spare_x = pixels.shape[-3] - height, pixels.shape[-2] - width
    if min(spare_y, spare_x) < 0:
        raise ZoetropeError(
            f"a crop of {width} x {height} px does not fit into {pixels.shape[-2]} x {pixels.shape[-3]} px"
        )
    return spare_y, spare_x


def _cut(pixels: np.ndarray, y: int, x: int, height: int, width: int) -> np.ndarray:
    return pixels[..., y : y + height, x : x + width, :]
