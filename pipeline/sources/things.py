"""The objects that annotations name, and what becomes of them once their picture is known: px, and no empty box."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.decode.limits import BadSample
from pipeline.decode.objects import DIGITS, MAX_OBJECTS, OUTSIDE_PX, PARALLEL, PLAIN
from pipeline.sources.joints import DONE, checked
from pipeline.sources.rows import Row

LEAST_PX = 0.01
"""A side below it is none."""
EMPTY, OUTSIDE, CLIPPED = "without a size", "outside of their picture", "clipped at the border of their picture"
READINGS = {
    "xyxy": "x0, y0, x1, y1",
    "xywh": "x0, y0, width, height",
    "centre": "the centre, width and height",
}
"""What the four numbers of a box may be."""
Boxes = npt.NDArray[np.float64]


class Thing(NamedTuple):
    """An object as annotations say it.

    box:       x0, y0, x1, y1, edges from 0, in px of the picture as it is shown
    crowd:     as in `pipeline.decode.objects`
    area:      in px; None where nothing is said
    outline, keypoints: as in `pipeline.decode.objects`; None where there is none
    """

    name: str
    box: tuple[float, float, float, float]
    crowd: int = PLAIN
    area: float | None = None
    outline: Any = None
    keypoints: list[float] | None = None


def objects_of(
    things: Sequence[Thing],
    size: tuple[int, int] | None = None,
    reading: str | None = None,
    relative: bool = False,
    joints: int = 0,
) -> dict[str, Any]:
    """Return `Candidate.objects`: as `objects.json`, with names of classes; `settled` makes the rest of it.

    size:     (width, height) in px that the annotations give the picture; None where they say nothing
    reading:  what the four numbers were taken for, a key of `READINGS`, where that may be wrong
    relative: boxes, polygons and key points are shares of the picture
    joints:   of a task of key points, how many an object has; they are checked then
    """
    found: dict[str, Any] = {"boxes": [list(one.box) for one in things], "classes": [one.name for one in things]}
    if any(one.crowd for one in things):
        found["crowd"] = [one.crowd for one in things]
    if any(one.area is not None for one in things):
        found["areas"] = [_area(one.box) if one.area is None else one.area for one in things]
    if any(one.outline for one in things):
        found["outlines"] = [one.outline or None for one in things]
    if joints or any(one.keypoints for one in things):
        found["keypoints"] = [one.keypoints or None for one in things]
    more = {"size": size and list(size), "reading": reading, "relative": relative, "joints": joints}
    return found | {key: value for key, value in more.items() if value}


def names_in(objects: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes that occur, sorted."""
    return tuple(sorted(set(objects["classes"])))


def kept(objects: Mapping[str, Any], which: Sequence[bool]) -> dict[str, Any]:
    """Return the objects without some."""
    lists = {key: objects[key] for key in ("boxes", *PARALLEL) if key in objects}
    return {**objects, **{key: [one for one, left in zip(of, which, strict=True) if left] for key, of in lists.items()}}


def renamed(objects: Mapping[str, Any], names: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the objects with other names of their classes; those whose name is None are left out."""
    left = kept(objects, [names[name] is not None for name in objects["classes"]])
    return {**left, "classes": [names[name] for name in left["classes"]]}


class Settled(NamedTuple):
    """The objects of a picture of a known size, as `objects.json` with names of classes.

    dropped: what was left out or clipped, or is odd about key points -> how many
    fits:    readings of the boxes' numbers by which all of them are boxes in the picture
    reading: the one that was taken; None where only one is possible
    """

    objects: dict[str, Any]
    dropped: dict[str, int]
    fits: list[str]
    reading: str | None


def settled(said: Mapping[str, Any], width: int, height: int) -> Settled:
    """Bring objects to px, and leave out boxes that are none. BadSample where they are of another picture.

    width, height: of the picture as it is shown, in px
    """
    size = said.get("size")
    if size and tuple(size) != (width, height):
        words = f"its annotations are of {size[0]} x {size[1]} pixels, and it has {width} x {height} as it is shown"
        turned = tuple(size) == (height, width)
        raise BadSample(words + (": EXIF may turn a photograph, and boxes are of it as it is shown" if turned else ""))
    if len(said["boxes"]) > MAX_OBJECTS:
        raise BadSample(f"it has {len(said['boxes']):,} objects, more than the {MAX_OBJECTS:,} allowed")
    boxes = np.array(said["boxes"], np.float64).reshape(-1, 4)
    outlines = {"outlines": said["outlines"]} if "outlines" in said else {}
    if said.get("relative"):
        boxes = boxes * np.array([width, height] * 2)
        outlines = {key: [_enlarged(one, width, height) for one in of] for key, of in outlines.items()}
    if joints := said.get("joints"):
        factor = (width, height, 1) if said.get("relative") else (1, 1, 1)
        keypoints = [one and (np.reshape(one, (-1, 3)) * factor).ravel().tolist() for one in said["keypoints"]]
        crowd = said.get("crowd", [PLAIN] * len(keypoints))
        outlines["keypoints"], odd = checked(keypoints, crowd, joints, width, height)
    empty = (boxes[:, 2:] - boxes[:, :2] < LEAST_PX).any(1)
    whole = np.array([width, height], np.float64)
    outside = ~empty & ((boxes[:, 2:] <= LEAST_PX) | (boxes[:, :2] >= whole - LEAST_PX)).any(1)
    inside = np.clip(boxes, 0, [width, height] * 2)
    clipped = ~empty & ~outside & (np.abs(inside - boxes) > OUTSIDE_PX).any(1)
    counts = {EMPTY: empty, OUTSIDE: outside, CLIPPED: clipped}
    left = [not one for one in np.logical_or(empty, outside).tolist()]
    objects = kept({**said, **outlines, "boxes": np.round(inside, DIGITS).tolist()}, left)
    reading = objects.pop("reading", None)
    objects.pop("relative", None)
    objects.pop("joints", None)
    fits = _fitting(boxes, reading, width, height) if reading else []
    dropped = {what: int(which.sum()) for what, which in counts.items() if which.any()}
    if joints:
        dropped |= odd
    return Settled({**objects, "size": [width, height]}, dropped, fits, reading)


def _fitting(boxes: Boxes, reading: str, width: int, height: int) -> list[str]:
    """Return the readings by which all boxes lie in the picture, of boxes that were read by one of them."""
    raw = _unread(boxes, reading)
    last = np.array([width, height] * 2) + OUTSIDE_PX
    read = {name: as_corners(raw, name) for name in READINGS}
    return [
        name
        for name, of in read.items()
        if not ((of < -OUTSIDE_PX) | (of > last)).any() and (of[:, :2] <= of[:, 2:]).all()
    ]


def as_corners(numbers: Boxes, reading: str) -> Boxes:
    """Return boxes x0, y0, x1, y1 of their four numbers, float [N, 4]."""
    first, second = numbers[:, :2], numbers[:, 2:]
    if reading == "xywh":
        second = first + second
    elif reading == "centre":
        first, second = first - second / 2, first + second / 2
    return np.concatenate([first, second], 1)


def _unread(boxes: Boxes, reading: str) -> Boxes:
    first, second = boxes[:, :2], boxes[:, 2:]
    if reading == "xywh":
        second = second - first
    elif reading == "centre":
        first, second = (first + second) / 2, second - first
    return np.concatenate([first, second], 1)


def _enlarged(outline: Any, width: int, height: int) -> Any:
    if not isinstance(outline, list):
        return outline
    return [np.round(np.array(one).reshape(-1, 2) * [width, height], DIGITS).reshape(-1).tolist() for one in outline]


def _area(box: Sequence[float]) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def extent(points: Iterable[Sequence[float]]) -> tuple[float, float, float, float]:
    """Return the box around points (x, y)."""
    x, y = zip(*points, strict=True)
    return min(x), min(y), max(x), max(y)


@dataclass
class Tally:
    """The objects of all pictures: how many of each class in each split, and what was left out of them."""

    objects: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(split, class) -> objects."""
    most: int = 0
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(source, what) -> boxes, or key points."""
    first: dict[tuple[str, str], str] = field(default_factory=dict)
    """The first picture with such boxes."""
    fits: dict[str, set[str]] = field(default_factory=dict)
    """Source -> readings that fit all of its boxes."""
    read: dict[str, str] = field(default_factory=dict)
    """Source -> its reading."""

    def words(self) -> list[str]:
        """Say what was left out, and where boxes seem to be read wrongly."""
        found = []
        for (source, what), count in sorted(self.dropped.items()):
            of = f"{source}: " if source else ""
            if what in DONE:
                found.append(f"{of}{count:,} {what}, such as in {self.first[source, what]}: {DONE[what]}")
                continue
            done = "" if what == CLIPPED else ": they are left out, and their pictures stay"
            found.append(f"{of}{count:,} boxes {what}, such as in {self.first[source, what]}{done}")
        for source, reading in sorted(self.read.items()):
            others = [name for name in READINGS if name in self.fits[source] and name != reading]
            if reading not in self.fits[source] and others:
                found.append(
                    f"{source and source + ': '}do the boxes hold {READINGS[others[0]]}? So all of them lie in their "
                    f"pictures, and as {READINGS[reading]}, as they were read, they do not"
                )
        return found


def tally(rows: Iterable[Row]) -> Tally:
    """Count the objects of rows. `settled` of a row, what is not told of it further on, is taken out."""
    found = Tally()
    for row in rows:
        source, (dropped, fits, reading) = row.get("source", ""), row.pop("settled")
        found.objects.update((row["split"], name) for name in row["objects"]["classes"])
        found.most = max(found.most, len(row["objects"]["classes"]))
        for what, count in dropped.items():
            found.dropped[source, what] += count
            found.first.setdefault((source, what), row["key"])
        if reading:
            found.read[source] = reading
            found.fits[source] = found.fits.get(source, {*READINGS}) & {*fits}
    return found
