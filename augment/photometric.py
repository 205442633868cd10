"""Operations on pixel values, as Pillow computes them: each takes and gives uint8 `[H, W, 3]` RGB.

Where an output value depends on its input value alone, a table of 256 entries does the work. What an operation measures
(a mean, a histogram) it measures on the one frame that it gets, so a frame of a clip becomes what it would alone.
"""

import cv2
import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]

_LEVELS = np.arange(256)
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601-2, which Pillow's mode L and OpenCV's grey share
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13


def invert(frame: UInt8Array) -> UInt8Array:
    """Compute 255 - x."""
    return np.invert(frame)


def solarize(frame: UInt8Array, threshold: float) -> UInt8Array:
    """Invert the values from `threshold` (0..255) upwards."""
    return _look_up(frame, np.where(threshold <= _LEVELS, 255 - _LEVELS, _LEVELS))


def posterize(frame: UInt8Array, bits: float) -> UInt8Array:
    """Keep the highest `bits` (0..8) of each value."""
    return _look_up(frame, _LEVELS & (256 - (1 << (8 - int(bits)))))


def brightness(frame: UInt8Array, factor: float) -> UInt8Array:
    """Blend with black: factor * x."""
    return _look_up(frame, factor * _LEVELS)


def contrast(frame: UInt8Array, factor: float) -> UInt8Array:
    """Blend with the frame's mean grey m: m + factor * (x - m)."""
    mean = _LUMA @ cv2.mean(frame)[:3]  # Pillow rounds it to a whole level, which moves the result by less than one
    return _look_up(frame, factor * _LEVELS + (1 - factor) * mean)


def color(frame: UInt8Array, factor: float) -> UInt8Array:
    """Blend with the pixel's own grey g, which is saturation: g + factor * (x - g)."""
    # OpenCV rounds and Pillow cuts off: an eighth less keeps the result within one level of both
    matrix = np.column_stack([factor * np.eye(3) + (1 - factor) * _LUMA, np.full(3, -0.125)])
    return cv2.transform(frame, matrix.astype(np.float32))  # type: ignore[return-value]  # cv2's hints leave the dtype open


def sharpness(frame: UInt8Array, factor: float) -> UInt8Array:
    """Blend with the smoothed frame s, whose kernel is (1 1 1, 1 5 1, 1 1 1) / 13: s + factor * (x - s).

    The outermost pixels are not smoothed and stay as they are.
    """
    if min(frame.shape[:2]) < 3:
        return frame
    kernel = (1 - factor) * _SMOOTH
    kernel[1, 1] += factor
    result = cv2.filter2D(frame, -1, kernel)
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        result[edge] = frame[edge]
    return result  # type: ignore[return-value]  # cv2's hints leave the dtype open


def autocontrast(frame: UInt8Array) -> UInt8Array:
    """Stretch each channel so that its darkest value becomes 0 and its brightest 255; a flat channel stays."""
    low, high = np.array([cv2.minMaxLoc(channel)[:2] for channel in cv2.split(frame)]).T
    return _look_up(frame, _or_as_it_was(low < high, (_LEVELS[:, None] - low) * (255 / np.maximum(high - low, 1))))


def equalize(frame: UInt8Array) -> UInt8Array:
    """Flatten each channel's histogram.

    With step = (pixels - those of the brightest value) // 255, a value v becomes
    (step // 2 + number of pixels darker than v) // step. A channel with a step of 0 stays.
    """
    counts = np.array([cv2.calcHist([frame], [c], None, [256], (0, 256)).ravel() for c in range(3)], np.float64)
    darker = counts.cumsum(1) - counts
    brightest = 255 - (counts[:, ::-1] > 0).argmax(1)
    step = darker[range(3), brightest] // 255
    # The look-up cuts the fractions off; numpy divides integers slowly
    return _look_up(frame, _or_as_it_was(step > 0, (darker.T + step // 2) / np.maximum(step, 1)))


def _or_as_it_was(changes: npt.NDArray[np.bool_], table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the table `[256, 3]`, in which the channels that do not change map each value to itself."""
    return table if changes.all() else np.where(changes, table, _LEVELS[:, None])


def _look_up(frame: UInt8Array, table: npt.NDArray[np.generic]) -> UInt8Array:
    """Return the table's entry `[256]`, or `[256, 3]` with one column a channel, for each value of the frame.

    Entries outside 0..255 are clipped and fractions are cut off, as Pillow does.
    """
    # Two calls cost a third of np.clip on so few values
    levels = np.minimum(np.maximum(table, 0), 255).astype(np.uint8)
    return cv2.LUT(frame, np.ascontiguousarray(levels)[None])  # type: ignore[return-value]  # cv2's hints leave the dtype open
