"""Masks of objects laid over a picture, a colour an object of a class."""

from collections.abc import Sequence

import numpy as np

from pipeline.figures.boxes import bright
from pipeline.figures.overlay import SHARE
from pipeline.tasks.instances.measure import Piece, boundary


def painted(pixels: np.ndarray, pieces: Sequence[Piece], kinds: np.ndarray) -> np.ndarray:
    """Lay masks over a picture uint8 [H, W, 3], the last on top, in the colours of their classes; rims are solid."""
    made = pixels.copy()
    for piece, kind in zip(pieces, kinds.tolist(), strict=True):
        if kind < 0:
            continue
        part, colour = made[piece.places], np.array(bright(kind))
        part[piece.bits] = ((1 - SHARE) * part[piece.bits] + SHARE * colour).astype(np.uint8)
        part[boundary(piece.bits, 1)] = colour
    return made
