"""A sample as a figure shows it."""

from typing import NamedTuple

import numpy as np


class Drawing(NamedTuple):
    """A sample for a person: uint8 [(T,) H, W, 3], words, whether an answer is right (None: none was given), and its
    name in the source.
    """

    pixels: np.ndarray
    words: str
    right: bool | None = None
    name: str = ""
