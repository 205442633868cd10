"""LabelMe's annotations: a JSON file an image."""

import base64
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import BadSample
from pipeline.recipe.object_sources import LabelmeSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources.annotated import text
from pipeline.sources.images import SPLIT, of_split, present
from pipeline.sources.listing import Listing
from pipeline.sources.pictures import (
    OWN_SPLIT,
    Found,
    beside,
    digest_of,
    finite,
    known_name,
    listed_names,
    pictures,
    read_one,
)
from pipeline.sources.things import Thing, extent, objects_of

LAYOUT = "images, and a JSON file of the same name for each"
FLAT = ("line", "linestrip", "point", "points")
"""Shapes that are no objects, as they have no area."""
CORNERS = {"rectangle": 2, "circle": 2, "polygon": 3, "mask": 2}
"""Shapes that are objects -> the least points that they have."""


def look(source: LabelmeSource, task: TaskSection, split: Split) -> Listing:
    """List the images that have a JSON file. ZoetropeError where there is none."""
    found = Found(listed_names(source.classes))
    given = _given(source)
    if SPLIT in source.path and source.annotations and SPLIT not in source.annotations:
        raise ZoetropeError(f"data.source.annotations: has no {SPLIT}, and data.source.path has; write it in both.")
    parts = present(given)
    by_ratio = "val" not in parts
    flat: Counter[str] = Counter()
    for part in parts:
        at = of_split(given, part)
        folder = Path(at["path"]).resolve()
        notes = Path(at.get("annotations", at["path"])).resolve()
        there, files = pictures(folder, LAYOUT, found.others, (".json",)), beside(notes, ".json", LAYOUT)
        prefix = f"{part}/" if part else ""
        for stem in dict.fromkeys([*there, *files]):
            names = there.get(stem, [])
            if not names:
                found.refused[prefix + files[stem]] = f"it has no image: {folder} holds no {stem}.*"
            elif len(names) > 1:
                found.refused |= {prefix + name: f"it and others have one name: {', '.join(names)}" for name in names}
            elif stem not in files:
                found.others["images without a JSON file"] += 1
            else:
                key = prefix + names[0]
                try:
                    size, things = said_in(read_one(notes / files[stem]), found.classes, flat)
                except BadSample as error:
                    found.refused[key] = error.reason
                    continue
                own = "" if by_ratio and part != "test" else part
                found.enter(key, folder / names[0], own, objects_of(things, size))
    if flat:
        shapes = ", ".join(f"{count:,} x {shape}" for shape, count in sorted(flat.items()))
        found.notes.append(f"shapes without an area are left out: {shapes}")
    return found.listing(source.path, by_ratio, LAYOUT, OWN_SPLIT)


def digest(source: LabelmeSource) -> str:
    """Hash what the folders hold by size and time of change, and the list of classes by content."""
    given = _given(source)
    folders = dict.fromkeys(path for part in present(given) for path in of_split(given, part).values())
    names = [source.classes] if isinstance(source.classes, str) else []
    return digest_of(folders, names, lambda path: text(path).encode(), LAYOUT)


def _given(source: LabelmeSource) -> dict[str, str]:
    return {"path": source.path} | ({"annotations": source.annotations} if source.annotations else {})


def said_in(
    content: bytes, classes: Mapping[str, None], flat: Counter[str]
) -> tuple[tuple[int, int] | None, list[Thing]]:
    """Read size and objects of a JSON file, and count the shapes that are none. BadSample for other JSON."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        raise BadSample("its annotations are no JSON") from None
    shapes = said.get("shapes") if isinstance(said, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(one, dict) for one in shapes):
        raise BadSample("its annotations have no list `shapes`, as LabelMe's have")
    width, height = (said.get(key) for key in ("imageWidth", "imageHeight"))
    size = (width, height) if isinstance(width, int) and isinstance(height, int) else None
    groups: dict[Any, list[Thing]] = {}
    for number, shape in enumerate(shapes):
        sort = shape.get("shape_type") or "polygon"
        if sort in FLAT:
            flat[sort] += 1
            continue
        thing = _thing(shape, sort, classes, size)
        group = shape.get("group_id")
        which = (number,) if group is None else (group, thing.name) if isinstance(group, int | str) else (number,)
        groups.setdefault(which, []).append(thing)
    return size, [_joined(parts) for parts in groups.values()]


def _thing(shape: Mapping[str, Any], sort: str, classes: Mapping[str, None], size: tuple[int, int] | None) -> Thing:
    if sort not in CORNERS:
        raise BadSample(f"its annotations have a shape {str(sort)[:40]!r}; known are {', '.join([*CORNERS, *FLAT])}")
    points = shape.get("points")
    if not isinstance(points, list) or len(points) < CORNERS[sort]:
        raise BadSample(f"its annotations have a {sort} of fewer than {CORNERS[sort]} points")
    if not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise BadSample(f"its annotations have a {sort} whose points are no pairs x, y")
    corners = [(finite(x, "a point"), finite(y, "a point")) for x, y in points]
    name = known_name(shape.get("label"), classes)
    if sort == "circle":
        (x, y), rim = corners[:2]
        radius = math.dist((x, y), rim)
        return Thing(name, (x - radius, y - radius, x + radius, y + radius))
    x0, y0, x1, y1 = extent(corners)
    if sort == "mask":  # its corners are pixels, the last one included
        runs = _runs(shape.get("mask"), int(x0), int(y0), size)
        return Thing(name, (x0, y0, x1 + 1, y1 + 1), outline=runs)
    outline = [[number for corner in corners for number in corner]] if sort == "polygon" else None
    return Thing(name, (x0, y0, x1, y1), outline=outline)


def _joined(parts: Sequence[Thing]) -> Thing:
    """Return the one object that shapes of a group are; it has an outline where all of them have one."""
    corners = [corner for one in parts for corner in (one.box[:2], one.box[2:])]
    outlines = [one.outline for one in parts]
    outline = outlines[0] if len(parts) == 1 else None
    if all(isinstance(one, list) for one in outlines):
        outline = [polygon for one in outlines for polygon in one]
    return Thing(parts[0].name, extent(corners), outline=outline)


def _runs(said: Any, left: int, top: int, size: tuple[int, int] | None) -> dict[str, Any] | None:
    """Return the run lengths of a mask, a PNG in base64 that begins at a pixel; None where it is none, or not inside of
    the picture: its box is that of its corners.
    """
    from pipeline.decode.masks import strictly
    from pipeline.decode.outlines import encode_runs

    if not isinstance(said, str) or size is None:
        return None
    try:
        bits = strictly(base64.b64decode(said, validate=True)) > 0
    except (ValueError, BadSample):
        return None
    width, height = size
    if not (0 <= left <= width - bits.shape[1] and 0 <= top <= height - bits.shape[0]):
        return None
    return encode_runs(bits, left, top, (height, width))
