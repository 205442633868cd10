"""CVAT's shapes as objects, and a track's shapes in the frames between those that its XML names."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from xml.etree.ElementTree import Element

from pipeline.decode.limits import BadSample
from pipeline.sources.pictures import finite, known_name
from pipeline.sources.things import Thing, extent

SHAPES = ("box", "polygon", "ellipse", "mask")
FLAT = ("polyline", "points", "cuboid", "skeleton")
"""Shapes that are no objects here."""
CORNERS = ("xtl", "ytl", "xbr", "ybr")


def thing_of(shape: Element, label: str | None, classes: Mapping[str, None]) -> Thing:
    """Return the object that a shape is. BadSample for numbers that are none, and classes that are not listed."""
    name = known_name(label, classes)
    if shape.tag == "mask":
        left, top, width, height = _numbers(shape, "left", "top", "width", "height")
        return Thing(name, (left, top, left + width, top + height))
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


def points_of(shape: Element) -> list[tuple[float, float]]:
    """Return the points "x,y;x,y" of a shape."""
    pairs = [pair.split(",") for pair in (shape.get("points") or "").split(";") if pair]
    if any(len(pair) != 2 for pair in pairs):
        raise BadSample("its annotations have points that are no pairs x,y")
    return [(finite(x, "a point"), finite(y, "a point")) for x, y in pairs]


def interpolated(track: Element, classes: Mapping[str, None], frames: Sequence[int]) -> Iterator[tuple[int, Thing]]:
    """Yield the frames of a track's shapes, those of `frames` (ascending) between them, and the object in each.

    Between two shapes numbers change evenly, where both have as many; else the first one stays. `outside` ends the
    object until the next shape; behind the last shape there is none.
    """
    shapes = sorted(
        ((int(finite(one.get("frame"), "frame")), one) for one in track if one.tag in SHAPES), key=lambda pair: pair[0]
    )
    for place, (frame, shape) in enumerate(shapes):
        if shape.get("outside") == "1":
            continue
        here = thing_of(shape, track.get("label"), classes)
        yield frame, here
        if place + 1 == len(shapes):
            return
        then, following = shapes[place + 1]
        there = here if following.get("outside") == "1" else thing_of(following, track.get("label"), classes)
        for between in frames[bisect_right(frames, frame) : bisect_left(frames, then)]:
            yield between, _between(here, there, (between - frame) / (then - frame))


def _between(here: Thing, there: Thing, share: float) -> Thing:
    x0, y0, x1, y1 = _mean(here.box, there.box, share)
    if not here.outline:
        return here._replace(box=(x0, y0, x1, y1))
    if not there.outline or len(here.outline[0]) != len(there.outline[0]):
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
