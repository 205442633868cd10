"""Boxes with words, drawn on a picture."""

import colorsys
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pipeline.figures.fonts import drawable, drawing_font

LEAST_PX = 320
"""Smaller pictures are enlarged to that width, pixel by pixel, so that words have room."""
DASH_PX = 8
GOLDEN = 0.618034
"""Hues this far apart, on a circle of 1, stay apart however many there are."""
Colour = tuple[int, int, int]


class Box(NamedTuple):
    """x0, y0, x1, y1 in px (edges), words, and how it is drawn."""

    edges: Sequence[float]
    words: str
    colour: Colour
    dashed: bool = False


def bright(number: int) -> Colour:
    """Choose a bright colour that tells a class' number from others."""
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN % 1, 0.75 if number % 2 else 1.0, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_boxes(pixels: npt.NDArray[np.uint8], boxes: Sequence[Box]) -> npt.NDArray[np.uint8]:
    """Draw boxes over a picture uint8 [H, W, 3], the first on top, and its words at the upper edge of each."""
    factor = -(-LEAST_PX // pixels.shape[1])
    picture = Image.fromarray(pixels.repeat(factor, 0).repeat(factor, 1))
    canvas = ImageDraw.Draw(picture)
    width = max(2, round(max(picture.size) / 250))
    size_px = max(11, round(max(picture.size) / 45))
    placed = [(one, [edge * factor for edge in one.edges]) for one in boxes[::-1]]
    for one, (x0, y0, x1, y1) in placed:
        x1, y1 = max(x1 - 1, x0), max(y1 - 1, y0)  # Pillow draws the last px, too
        for outer, colour in ((width + 2, (0, 0, 0)), (width, one.colour)):  # dark rims show on any ground
            for line in ((x0, y0, x1, y0), (x1, y0, x1, y1), (x1, y1, x0, y1), (x0, y1, x0, y0)):
                _line(canvas, line, colour, outer, one.dashed and colour == one.colour)
    for one, (x0, y0, _, _) in placed:
        words = drawable(one.words)
        if not words:
            continue
        font = drawing_font(words, size_px)
        left, top, right, bottom = canvas.textbbox((0, 0), words, font=font)
        x = min(max(x0, 0), max(picture.width - (right - left) - 4, 0))
        y = y0 - (bottom - top) - 5 if y0 - (bottom - top) - 5 >= 0 else max(y0, 0)
        canvas.rectangle((x, y, x + right - left + 4, y + bottom - top + 4), fill=one.colour)
        ink = "black" if sum(one.colour) > 330 else "white"
        canvas.text((x + 2 - left, y + 2 - top), words, fill=ink, font=font)
    return np.asarray(picture)


def _line(
    canvas: ImageDraw.ImageDraw, ends: tuple[float, float, float, float], colour: Colour, width: int, dashed: bool
) -> None:
    """Draw a line, with gaps as long as the dashes where it is `dashed`."""
    x0, y0, x1, y1 = ends
    length = max(abs(x1 - x0), abs(y1 - y0))
    pieces = max(1, round(length / DASH_PX)) if dashed else 1
    marks = np.linspace(0, 1, pieces + 1)
    for a, b in list(pairwise(marks))[::2]:
        points = [(x0 + (x1 - x0) * share, y0 + (y1 - y0) * share) for share in (a, b)]
        canvas.line(points, fill=colour, width=width)
