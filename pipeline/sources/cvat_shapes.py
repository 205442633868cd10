"""CVAT's shapes as objects, and a track's shapes in the frames between those that its XML names."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from pipeline.decode.limits import BadSample
from pipeline.sources.pictures import finite, known_name
from pipeline.sources.things import Thing, extent

SHAPES = ("box", "polygon", "ellipse", "mask")
FLAT = ("polyline", "points", "cuboid", "skeleton")
"""Shapes that are no objects here."""
CORNERS = ("xtl", "ytl", "xbr", "ybr")


def thing_of(
    shape: Element, label: str | None, classes: Mapping[str, None], size: tuple[int, int] | None = None
) -> Thing:
    """Return the object that a shape is. BadSample for numbers that are none, and classes that are not listed.

    size: (width, height) in px of its picture; without it a mask is its box alone
    """
    name = known_name(label, classes)
    if shape.tag == "mask":
        left, top, width, height = _numbers(shape, "left", "top", "width", "height")
        outline = _runs(shape, (left, top, width, height), size) if size and shape.get("rle") else None
        return Thing(name, (left, top, left + width, top + height), outline=outline)
    if shape.tag == "polygon":
        points = points_of(shape)
        if len(points) < 3:
            raise BadSample(f"its annotations have a polygon of {len(points)} points")
        return Thing(name, extent(points), outline=[[number for point in points for number in point]])
    if shape.tag == "ellipse":
        x, y, across, down = _numbers(shape, "cx", "cy", "rx", "ry")
        cos, sin = _turned(shape)
        wide, high = math.hypot(across * cos, down * sin), math.hypot(across * sin, down * cos)
        return Thing(name, (x - wide, y - high, x + wide, y + high))
    x0, y0, x1, y1 = _numbers(shape, *CORNERS)
    cos, sin = _turned(shape)
    if not sin:
        return Thing(name, (x0, y0, x1, y1))
    # Turned around its middle: the box around the corners.
    x, y, across, down = (x0 + x1) / 2, (y0 + y1) / 2, abs(x1 - x0) / 2, abs(y1 - y0) / 2
    wide, high = abs(across * cos) + abs(down * sin), abs(across * sin) + abs(down * cos)
    return Thing(name, (x - wide, y - high, x + wide, y + high))


def _runs(shape: Element, box: Sequence[float], size: tuple[int, int]) -> dict[str, Any]:
    """Return a mask's run lengths as COCO has them, of the whole picture. BadSample for what is not inside of it."""
    from pipeline.decode.outlines import encode_runs, row_bits

    left, top, width, height = map(int, box)
    if (left, top, width, height) != tuple(box) or not (
        0 <= left <= size[0] - width and 0 <= top <= size[1] - height and width > 0 and height > 0
    ):
        raise BadSample(
            f"its annotations have a mask of {box[2]:g} x {box[3]:g} px at {box[0]:g}, {box[1]:g}, which is not inside "
            f"of {size[0]} x {size[1]} px"
        )
    said = [finite(number, "rle") for number in str(shape.get("rle")).split(",")]
    lengths = [int(number) for number in said]
    if lengths != said:
        raise BadSample("its annotations have a mask whose rle is not of whole numbers")
    return encode_runs(row_bits(lengths, width, height), left, top, (size[1], size[0]))


def points_of(shape: Element) -> list[tuple[float, float]]:
    """Return the points "x,y;x,y" of a shape."""
    pairs = [pair.split(",") for pair in (shape.get("points") or "").split(";") if pair]
    if any(len(pair) != 2 for pair in pairs):
        raise BadSample("its annotations have points that are no pairs x,y")
    return [(finite(x, "a point"), finite(y, "a point")) for x, y in pairs]


def interpolated(
    track: Element, classes: Mapping[str, None], frames: Sequence[int], size: tuple[int, int] | None = None
) -> Iterator[tuple[int, Thing]]:
    """Yield the frames of a track's shapes, those of `frames` (ascending) between them, and the object in each.

    Between two shapes numbers change evenly, where both have as many; else the first one stays. `outside` ends the
    object until the next shape; behind the last shape there is none. A mask stays until the next shape.
    """
    shapes = sorted(
        ((int(finite(one.get("frame"), "frame")), one) for one in track if one.tag in SHAPES), key=lambda pair: pair[0]
    )
    for place, (frame, shape) in enumerate(shapes):
        if shape.get("outside") == "1":
            continue
        here = thing_of(shape, track.get("label"), classes, size)
        yield frame, here
        if place + 1 == len(shapes):
            return
        then, following = shapes[place + 1]
        there = here if following.get("outside") == "1" else thing_of(following, track.get("label"), classes, size)
        for between in frames[bisect_right(frames, frame) : bisect_left(frames, then)]:
            yield between, _between(here, there, (between - frame) / (then - frame))


def _between(here: Thing, there: Thing, share: float) -> Thing:
    x0, y0, x1, y1 = _mean(here.box, there.box, share)
    if not here.outline:
        return here._replace(box=(x0, y0, x1, y1))
    if isinstance(here.outline, dict):  # of masks, nothing says what is between them
        return here
    if not isinstance(there.outline, list) or len(here.outline[0]) != len(there.outline[0]):
        return here
    numbers = _mean(here.outline[0], there.outline[0], share)
    return here._replace(box=extent(zip(numbers[::2], numbers[1::2], strict=True)), outline=[numbers])


def _mean(here: Sequence[float], there: Sequence[float], share: float) -> list[float]:
    return [one + share * (other - one) for one, other in zip(here, there, strict=True)]


def _numbers(shape: Element, *keys: str) -> list[float]:
    return [finite(shape.get(key), key) for key in keys]


def _turned(shape: Element) -> tuple[float, float]:
    """Return cosine and sine of the angle, in degrees, by which a shape is turned."""
    angle = math.radians(finite(shape.get("rotation") or 0, "rotation"))
    return math.cos(angle), math.sin(angle)
