"""Bodies drawn on a picture: limbs as lines, joints as dots, the left side in other colours than the right one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pipeline.figures.boxes import LEAST_PX, Colour

LEFT, RIGHT, MIDDLE = (255, 120, 40), (40, 170, 255), (90, 230, 90)
"""Of limbs: orange, blue, and green where they are of no side."""


class Figure(NamedTuple):
    """Joints float [J, 3], x, y in px (edges) and 0 where there is none; one colour for all of it, or None for
    sides'.
    """

    points: npt.NDArray[np.floating]
    colour: Colour | None = None
    thin: bool = False


def draw_figures(
    pixels: npt.NDArray[np.uint8],
    figures: Sequence[Figure],
    limbs: Sequence[tuple[int, int]],
    sides: Sequence[int],
) -> npt.NDArray[np.uint8]:
    """Draw bodies over a picture uint8 [H, W, 3], the first on top; `sides` of joints: 1 left, -1 right, 0 neither."""
    factor = -(-LEAST_PX // pixels.shape[1])
    picture = Image.fromarray(pixels.repeat(factor, 0).repeat(factor, 1))
    canvas = ImageDraw.Draw(picture)
    broad = max(3, round(max(picture.size) / 160))
    for figure in figures[::-1]:
        width = max(2, broad // 2) if figure.thin else broad
        points = figure.points[:, :2] * factor
        there = figure.points[:, 2] > 0
        lines = [(a, b) for a, b in limbs if there[a] and there[b]]
        for rim in (True, False):  # dark rims show on any ground
            for a, b in lines:
                colour = (0, 0, 0) if rim else figure.colour or _colour(sides[a] + sides[b])
                ends = [tuple(points[a].tolist()), tuple(points[b].tolist())]
                canvas.line(ends, fill=colour, width=width + 2 * rim)
        for joint in np.flatnonzero(there).tolist():
            x, y = points[joint].tolist()
            colour = figure.colour or _colour(sides[joint])
            canvas.ellipse((x - width, y - width, x + width, y + width), fill=colour, outline=(0, 0, 0))
    return np.asarray(picture)


def _colour(side: int) -> Colour:
    return LEFT if side > 0 else RIGHT if side < 0 else MIDDLE
