"""Optical flow goes where its frames go: fields are moved as the pixels are, and their vectors turned and scaled.

Fields are levels, uint8 [F, 2, H, W], x before y; 127.5 is no motion. Where a transform paints pixels or changes their
colours, the flow stays as it is.
"""

import cv2
import numpy as np
import numpy.typing as npt

from augment.geometric import at_pixel_centres

UInt8Array = npt.NDArray[np.uint8]
STILL, MIDDLE = 128, 127.5
"""The level that stands for no motion, and where that is exactly."""
_EXACT = 1e-3
"""Of a frame in float32: what lies so near to a whole number is one."""


def move(fields: UInt8Array, frame: npt.NDArray[np.floating], size: tuple[int, int]) -> UInt8Array:
    """Return fields [F, 2, H, W] as [F, 2, *size], as `frame` [2, 3] moves the picture: (x, y, 1) of it to the view.

    A vector v becomes A v, A the frame's linear part. Outside of the picture nothing moves.
    """
    matrix = np.asarray(frame, np.float64)
    return turn(_cut(fields, matrix, size), matrix[:, :2])


def turn(fields: UInt8Array, linear: npt.NDArray[np.float64]) -> UInt8Array:
    """Map every vector v of fields [F, 2, H, W] to A v, `linear` being A [2, 2]; a mirror is exact."""
    (a, b), (c, d) = linear.tolist()
    if max(abs(b), abs(c)) > _EXACT:
        x, y = (fields[:, axis].astype(np.float32) - np.float32(MIDDLE) for axis in (0, 1))
        return np.stack([_levels(a * x + b * y), _levels(c * x + d * y)], axis=1)
    turned = fields.copy() if max(abs(a - 1), abs(d - 1)) > _EXACT else fields
    for axis, factor in enumerate((a, d)):
        if abs(factor - 1) > _EXACT:
            table = _levels(factor * (np.arange(256, dtype=np.float32) - np.float32(MIDDLE)))
            turned[:, axis] = table[fields[:, axis]]
    return turned


def stack(fields: UInt8Array, places: npt.NDArray[np.integer]) -> UInt8Array:
    """Lay fields [F, 2, H, W] on each other: `places` [T, L] of them, as [T, H, W, 2 L]: x1, y1, x2, y2, ..."""
    chosen = fields[places]
    frames, count = places.shape
    return np.ascontiguousarray(np.moveaxis(chosen.reshape(frames, 2 * count, *fields.shape[2:]), 1, -1))


def mirrored(clip: UInt8Array) -> UInt8Array:
    """Negate x of [..., 2 L], whose pixels are mirrored from left to right already."""
    made = clip.copy()
    made[..., 0::2] = 255 - made[..., 0::2]
    return made


def _cut(fields: UInt8Array, matrix: npt.NDArray[np.float64], size: tuple[int, int]) -> UInt8Array:
    """Bring the places, not the vectors, to the view."""
    parts = [_part(matrix[axis], axis, length, fields.shape[3 - axis]) for axis, length in ((0, size[1]), (1, size[0]))]
    if parts[0] is not None and parts[1] is not None:
        return fields[:, :, parts[1], parts[0]]
    # What OpenCV warps at once has four channels at most
    at_centres = at_pixel_centres(np.vstack([matrix, [0, 0, 1]]))[:2]
    planes = [
        cv2.warpAffine(
            *(plane, at_centres, size[::-1]),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=STILL,
        )
        for plane in np.ascontiguousarray(fields).reshape(-1, *fields.shape[2:])
    ]
    return np.stack(planes).reshape(*fields.shape[:2], *size).astype(np.uint8, copy=False)


def _part(row: npt.NDArray[np.float64], axis: int, length: int, stored: int) -> slice | None:
    """Return which px along an axis the view shows, mirrored where it is; None where these are no whole ones, or some
    lie outside of the picture.
    """
    factor, across, shift = row[axis], row[1 - axis], round(row[2])
    if abs(across) > _EXACT or abs(abs(factor) - 1) > _EXACT / length or abs(row[2] - shift) > 10 * _EXACT:
        return None
    first, last = (-shift, length - shift) if factor > 0 else (shift - length, shift)
    if first < 0 or last > stored:
        return None
    return slice(first, last) if factor > 0 else slice(last - 1, first - 1 if first else None, -1)


def _levels(vectors: npt.NDArray[np.float32]) -> UInt8Array:
    return np.rint(vectors + np.float32(MIDDLE)).clip(0, 255).astype(np.uint8)
