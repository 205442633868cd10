"""Rows of a table that are bodies: key points, and perhaps a box and a class."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.base.redact import redact
from pipeline.decode.limits import BadSample
from pipeline.decode.objects import DIFFICULT, PLAIN
from pipeline.recipe.bodies import Skeleton
from pipeline.recipe.sources import TableSource
from pipeline.sources.boxed_rows import box_columns, with_thing
from pipeline.sources.joints import PERSON, Reading, box_around, finite_or_nan, reading
from pipeline.sources.listing import Candidate
from pipeline.sources.pictures import finite, known_name
from pipeline.sources.samples import Row
from pipeline.sources.things import Thing, objects_of

_JOINT = re.compile(r"(.+)[_. ]x$", re.IGNORECASE)


@dataclass(frozen=True)
class Columns:
    """Where a row has its key points.

    joints: columns of x, y and v of each joint of the table; None for a v that there is not
    box:    as of `box_columns`; none where boxes are to be those around the joints
    """

    joints: tuple[tuple[str, str, str | None], ...]
    read_as: Reading
    box: tuple[str, ...]


def pose_columns(source: TableSource, names: Sequence[str], body: Skeleton) -> Columns:
    """Return the columns of key points, `<joint>_x` and `<joint>_y`. ZoetropeError where the body's are not there."""
    called = {name.lower(): name for name in names}
    joints: dict[str, tuple[str, str, str | None]] = {}
    for name in names:
        if found := _JOINT.fullmatch(name):
            stem = name.lower()[:-1]
            if y := called.get(f"{stem}y"):
                joints[found[1]] = (name, y, called.get(f"{stem}v"))
    where = f"data.source.path: {redact(source.path)}"
    if not joints:
        raise ZoetropeError(
            f"{where} has the columns {', '.join(names)}, and none of key points, such as {body.joints[0]}_x and "
            f"{body.joints[0]}_y."
        )
    try:
        box = box_columns(source, names)
    except ZoetropeError:
        if source.columns.box is not None:
            raise
        box = ()
    return Columns(tuple(joints.values()), reading(list(joints), body, where), box)


def with_body(
    row: Row,
    values: Mapping[str, Any],
    columns: Mapping[str, str],
    posed: Columns,
    source: TableSource,
    classes: Mapping[str, None],
) -> Row:
    """Return a row with its body, or with none where all of its joints, box and label are empty. BadSample."""
    numbers: list[float] = []
    for x, y, v in posed.joints:
        place = [values.get(x), values.get(y)]
        empty = all(one in (None, "") for one in place)
        mark = values.get(v) if v else None
        seen = 0.0 if empty else 2.0 if mark in (None, "") else finite_or_nan(mark)
        numbers += [0.0, 0.0, 0.0] if empty else [*map(finite_or_nan, place), seen]
    label = values.get(columns.get("label", ""))
    if posed.box and any(values.get(name) not in (None, "") for name in posed.box):
        known = {"label": "label", **({"crowd": columns["crowd"]} if "crowd" in columns else {})}
        made = with_thing(row, {**values, "label": label or PERSON}, known, posed.box, source, classes)
        return replace(made, things=tuple(one._replace(keypoints=posed.read_as(numbers)) for one in made.things or ()))
    box = box_around(numbers)
    if box is None and label in (None, ""):
        return replace(row, labels=(), things=())
    if box is None:
        raise BadSample("it has a label, and neither a box nor a key point")
    crowd = finite(values.get(columns.get("crowd", "")) or PLAIN, "crowd")
    if crowd not in range(DIFFICULT + 1):
        raise BadSample(f"its crowd is {crowd:g}, and may be 0, 1 or 2")
    name = known_name(label or PERSON, classes)
    return replace(row, labels=(name,), things=(Thing(name, box, int(crowd), keypoints=posed.read_as(numbers)),))


def with_bodies(candidates: Iterable[Candidate], rows: Iterable[Row], body: Skeleton) -> list[Candidate]:
    """Return the pictures with the bodies that their rows are; all is in px."""
    things: dict[Any, list[Thing]] = {}
    of: dict[str, Row] = {}
    for row in rows:
        things.setdefault(row.found.file, []).extend(row.things or ())
        of[row.found.path] = row
    return [
        replace(one, objects=objects_of(things[row.found.file], row.size, joints=len(body.joints)))
        for one in candidates
        for row in (of[one.path],)
    ]
