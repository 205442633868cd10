"""A sample as a figure shows it."""

from typing import NamedTuple

import numpy as np


def as_rgb(pixels: np.ndarray) -> np.ndarray:
    """Return what a person is shown of pixels [..., C], uint8 [..., 3]: grey as grey, RGBA without alpha, and of bands
    the first three, or the first where there are two. Of 16 bits they are the upper 8.
    """
    shown = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1].repeat(3, -1)
    return shown if shown.dtype == np.uint8 else (shown >> 8).astype(np.uint8)


class Drawing(NamedTuple):
    """A sample for a person: uint8 [(T,) H, W, 3], words, whether an answer is right (None: none was given), and its
    name in the source.
    """

    pixels: np.ndarray
    words: str
    right: bool | None = None
    name: str = ""
