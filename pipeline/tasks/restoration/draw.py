"""Pictures beside each other: what was seen, what came of it, what is true, and how far they are apart."""

import numpy as np
import numpy.typing as npt

from pipeline.tasks.restoration.degrade import resized

UInt8Array = npt.NDArray[np.uint8]
SHOWN = 4
"""Differences are drawn so many times as large."""


def beside(*pictures: UInt8Array) -> UInt8Array:
    """Lay pictures beside each other: uint8 [H, W, 3] each, smaller ones enlarged to the largest, bicubic."""
    height, width = (max(sides) for sides in zip(*(picture.shape[:2] for picture in pictures), strict=True))
    same = [one if one.shape[:2] == (height, width) else resized(one, height, width) for one in pictures]
    return np.concatenate(same, axis=1)


def four(seen: UInt8Array, said: UInt8Array, true: UInt8Array) -> UInt8Array:
    """Lay input and answer, and below them truth and difference, in two rows."""
    apart = np.abs(said.astype(np.int16) - true).astype(np.int32) * SHOWN
    return np.concatenate([beside(seen, said), beside(true, apart.clip(0, 255).astype(np.uint8))])
