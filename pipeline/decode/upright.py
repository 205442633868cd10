"""Frames as their container wants them shown: turned by quarters, or mirrored, as its display matrix says."""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

Matrix = tuple[int, int, int, int]
"""a, b, c, d: the pixel at (x, y) is shown at (a x + c y, b x + d y)."""

AS_STORED = (1, 0, 0, 1)


def display_matrix(frame: VideoFrame) -> Matrix:
    """Return the frame's display matrix with entries -1, 0 and 1: other angles become the nearest quarter turn.

    ISO/IEC 14496-12, section 8.5.3, which FFmpeg's side data of that name copy; Matroska's roll comes in it, too.
    """
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return AS_STORED
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data))
    on_its_side = abs(b) + abs(c) > abs(a) + abs(d)
    return (0, _sign(b), _sign(c), 0) if on_its_side else (_sign(a), 0, 0, _sign(d))


def is_mirrored(matrix: Matrix) -> bool:
    """Tell whether no turning alone makes it upright."""
    a, b, c, d = matrix
    return a * d - b * c < 0


def upright(frame: VideoFrame, matrix: Matrix) -> npt.NDArray[np.uint8]:
    """Return the frame's pixels as the matrix shows them: uint8 RGB `[H, W, 3]`, sides
    exchanged when it lies on its side.
    """
    pixels = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    a, b, c, d = matrix
    if a == 0:
        return pixels.swapaxes(0, 1)[::b, ::c]
    return pixels[::d, ::a]


def _sign(value: int) -> int:
    return -1 if value < 0 else 1
