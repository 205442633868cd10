"""Rows of a table that are objects: a box and a class each."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.base.redact import redact
from pipeline.decode.limits import BadSample
from pipeline.decode.objects import DIFFICULT, PLAIN
from pipeline.recipe.sources import TableSource
from pipeline.sources.listing import Candidate
from pipeline.sources.pictures import finite, known_name, listed_names
from pipeline.sources.samples import Row
from pipeline.sources.things import Thing, as_corners, objects_of

USUAL = {
    "xyxy": ("xmin ymin xmax ymax", "x_min y_min x_max y_max", "x0 y0 x1 y1", "x1 y1 x2 y2", "left top right bottom"),
    "xywh": ("x y w h", "x y width height", "left top width height"),
    "centre": ("cx cy w h", "x_center y_center width height", "xc yc w h"),
}
"""How the columns of boxes are usually called, in lower case."""
WHOLE = ("bbox", "box")
"""How a column of whole boxes is called."""
SIZE = ("width", "height")
_BETWEEN = re.compile(r"[\s,;\[\]()]+")


def box_columns(source: TableSource, names: Sequence[str]) -> tuple[str, ...]:
    """Return the four columns of boxes, or the one that holds them whole. ZoetropeError where there are none."""
    asked = source.columns.box
    if asked is not None:
        wanted = (asked,) if isinstance(asked, str) else tuple(asked)
        if absent := [name for name in wanted if name not in names]:
            raise ZoetropeError(
                f"data.source.columns.box: {redact(source.path)} has no such column: "
                f"{unknown('column', absent[0], names)}"
            )
        return wanted
    called = {name.lower(): name for name in names}
    for usual in USUAL[source.boxes]:
        if all(name in called for name in usual.split()):
            return tuple(called[name] for name in usual.split())
    if whole := [called[name] for name in WHOLE if name in called]:
        return (whole[0],)
    others = [(reading, usual) for reading, several in USUAL.items() for usual in several]
    fit = next((one for one in others if all(name in called for name in one[1].split())), None)
    hint = f", or set data.source.boxes={fit[0]}, as its columns {fit[1]} seem to be" if fit else ""
    raise ZoetropeError(
        f"data.source.columns.box: {redact(source.path)} has the columns {', '.join(names)}, and none of them are "
        f"called as boxes of {source.boxes} are. Name the four of them, such as [xmin, ymin, xmax, ymax]{hint}."
    )


def classes_of(source: TableSource) -> dict[str, None]:
    """Return the classes that the recipe lists."""
    if isinstance(source.classes, Mapping):
        raise ZoetropeError("data.source.classes: of boxes it is a list of names, or a file with a name a line.")
    return listed_names(source.classes)


def with_thing(
    row: Row,
    values: Mapping[str, Any],
    columns: Mapping[str, str],
    box: Sequence[str],
    source: TableSource,
    classes: Mapping[str, None],
) -> Row:
    """Return a row with its object, or with none where its box and its label are empty. BadSample for half of one."""
    cells: Any = [values.get(name) for name in box]
    label = values.get(columns["label"])
    crowd = finite(values.get(columns.get("crowd", "")) or PLAIN, "crowd")
    if crowd not in range(DIFFICULT + 1):
        raise BadSample(f"its crowd is {crowd:g}, and may be 0, 1 or 2")
    named = {name.lower(): name for name in values}
    width, height = (values.get(named.get(side, "")) for side in SIZE)
    sized = not {*SIZE} & {name.lower() for name in box} and width not in (None, "") and height not in (None, "")
    size = (int(finite(width, "width")), int(finite(height, "height"))) if sized else None
    if all(cell in (None, "") for cell in cells):
        if label not in (None, ""):
            raise BadSample("it has a label, and its box is empty")
        return replace(row, labels=(), things=(), size=size)
    if len(cells) == 1:
        (whole,) = cells
        cells = [one for one in _BETWEEN.split(whole) if one] if isinstance(whole, str) else whole
    if not isinstance(cells, list | tuple) or len(cells) != 4:
        raise BadSample(f"its box {str(cells)[:40]!r} is not four numbers")
    numbers = [finite(cell, "a number of its box") for cell in cells]
    if source.relative and any(not -1e-6 <= number <= 1 + 1e-6 for number in numbers):
        raise BadSample(f"its box has {max(numbers):g}, which is no share of the picture; see data.source.relative")
    name = known_name(label, classes)
    x0, y0, x1, y1 = as_corners(np.array([numbers]), source.boxes)[0].tolist()
    return replace(row, labels=(name,), things=(Thing(name, (x0, y0, x1, y1), int(crowd)),), size=size)


def without_spoilt(good: list[Row], spoilt: Mapping[Any, int], refused: dict[int, str]) -> list[Row]:
    """Return the rows without those of pictures of which a row is refused: an object that is missing would be learned.

    spoilt: file -> number of such a row. The others of its file are refused, too.
    """
    refused |= {
        row.number: f"row {spoilt[row.found.file]} of the same picture is refused"
        for row in good
        if row.found.file in spoilt
    }
    return [row for row in good if row.number not in refused]


def with_objects(candidates: Iterable[Candidate], rows: Iterable[Row], source: TableSource) -> list[Candidate]:
    """Return the pictures with the objects that their rows are."""
    things: dict[Any, list[Thing]] = {}
    of: dict[str, Row] = {}
    for row in rows:
        things.setdefault(row.found.file, []).extend(row.things or ())
        of[row.found.path] = row
    return [
        replace(one, objects=objects_of(things[row.found.file], row.size, source.boxes, source.relative))
        for one in candidates
        for row in (of[one.path],)
    ]
