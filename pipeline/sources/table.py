"""A table with a row a sample: path or URL, label, and perhaps split, start_s and end_s."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.decode.limits import BadSample
from pipeline.recipe.schema import Task
from pipeline.recipe.sources import TableSource
from pipeline.redact import redact
from pipeline.sources import tables
from pipeline.sources.files import check_url, folder_of, is_url, joined, marks, read_capped
from pipeline.sources.folder import is_utf8
from pipeline.sources.listing import SPLITS, Candidate, Listing, held_out

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
LAYOUT = "a row a sample, with a column for the path and one for the label"


def look(source: TableSource, task: Task, val_share: float) -> Listing:
    """The candidates of a table. ZoetropeError for a table that is none; single rows are refused with a reason."""
    names, rows = tables.read(source.path, _content(source))
    columns = _columns(source, names)
    if task.modality == "image" and (timed := [name for name in ("start_s", "end_s") if name in columns]):
        raise tables.error(source.path, f"has the column {columns[timed[0]]!r}, and images have no times")
    root = source.root or folder_of(source.path)
    others: Counter[str] = Counter()
    found: dict[str, Candidate] = {}
    refused: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        try:
            candidate = _candidate(row, columns, root, source, val_share, task.multilabel)
        except BadSample as error:
            refused[f"row {number}"] = error.reason
            continue
        if candidate is None:
            others[f"in {row[columns['split']]}"] += 1
            continue
        before = found.get(candidate.key)
        if before is None:
            found[candidate.key] = candidate
        elif (before.path, before.split) != (candidate.path, candidate.split):
            refused[f"row {number}"] = f"{candidate.key} stands in another row already, in the split {before.split}"
        elif task.multilabel:
            both = {*before.labels, *candidate.labels}
            found[candidate.key] = replace(before, labels=tuple(sorted(both)))
        elif before.labels == candidate.labels:
            others["the same as another row"] += 1
        else:
            refused[f"row {number}"] = (
                f"{candidate.key} has the label {before.labels[0]!r} in another row, and here {candidate.labels[0]!r}"
            )
    if not found:
        first = next(iter(refused.items()), None)
        why = f"has no row that can be used; {first[0]}: {first[1]}" if first else f"is empty. It should hold {LAYOUT}"
        raise tables.error(source.path, why)
    present = {candidate.split for candidate in found.values()}
    if "split" in columns and (absent := [split for split in SPLITS if split not in present]):
        what = ", ".join(f"{count} x {name.removeprefix('in ')}" for name, count in others.items()) or "none else"
        raise tables.error(
            source.path,
            f"has no row of the split {absent[0]!r} in its column {columns['split']!r}, but {what}. "
            "Rename one of them, or drop the column: then data.split holds out",
        )
    labels = {label for candidate in found.values() for label in candidate.labels}
    numbered = all(label.isdecimal() for label in labels)
    return Listing(
        sorted(found.values(), key=lambda candidate: candidate.key),
        others,
        held_out_by_ratio="split" not in columns,
        where=f"data.source.path: {redact(source.path)}",
        layout=LAYOUT,
        own_split="give the table a column `split`",
        refused=refused,
        class_order=tuple(sorted(labels, key=int)) if numbered else (),
    )


def digest(source: TableSource) -> str:
    """The table's content, and size and time of change (or etag) of every file that it names."""
    content = _content(source)
    names, rows = tables.read(source.path, content)
    column = _columns(source, names)["path"]
    root = source.root or folder_of(source.path)
    paths = {joined(root, str(row[column])) for row in rows if row.get(column)}
    known = hashlib.sha256(hashlib.sha256(content).digest())
    for path, mark in sorted(marks(path for path in paths if is_utf8(path)).items()):
        known.update(f"{path}\0{mark}\n".encode())
    return known.hexdigest()


def _content(source: TableSource) -> bytes:
    return read_capped(source.path, tables.MAX_TABLE_BYTES, "data.source.path: the table")


def _columns(source: TableSource, names: list[str]) -> dict[str, str]:
    """Our name of a column -> the table's; of optional ones those that it has. Raises for one that is asked for."""
    asked = source.columns.model_dump()
    columns = {}
    for ours, theirs in asked.items():
        if theirs is None:
            if ours in names:
                columns[ours] = ours
        elif theirs in names:
            columns[ours] = theirs
        else:
            raise ZoetropeError(
                f"data.source.columns.{ours}: {redact(source.path)} has no such column: "
                f"{unknown('column', theirs, names) if names else 'the table is empty'}"
            )
    return columns


def _candidate(
    row: Mapping[str, Any],
    columns: Mapping[str, str],
    root: str,
    source: TableSource,
    val_share: float,
    multilabel: bool,
) -> Candidate | None:
    """One row; None for a split that is neither train nor val. BadSample for one that cannot be used."""
    named = row.get(columns["path"])
    if not isinstance(named, str) or not named.strip():
        raise BadSample(f"its path is {'empty' if named in (None, '') else repr(named)}")
    if not is_utf8(named) or "\0" in named:
        raise BadSample("its path is no text")
    path = joined(root, named.strip())
    if is_url(path):
        check_url(path)
    start_s, end_s = (_seconds(row, columns.get(name)) for name in ("start_s", "end_s"))
    if end_s is not None and end_s <= (start_s or 0.0):
        raise BadSample(f"end_s {end_s:g} is not behind start_s {start_s or 0:g}")
    labels = _labels(row.get(columns["label"]), source, multilabel)
    key = named.strip() if start_s is None and end_s is None else f"{named.strip()}#{_time(start_s)}-{_time(end_s)}"
    if "split" in columns:
        said = str(row.get(columns["split"]) or "").strip().lower()
        if said not in SPLIT_NAMES:
            raise ZoetropeError(
                f"data.source.columns.split: {redact(source.path)} says {said!r} for {named}; known are "
                f"{', '.join(SPLIT_NAMES)}."
            )
        if (split := SPLIT_NAMES[said]) not in SPLITS:
            return None
    else:
        split = "val" if held_out(named.strip(), val_share) else "train"  # segments of one video go together
    return Candidate(key, path, labels, split, start_s, end_s)


def _seconds(row: Mapping[str, Any], column: str | None) -> float | None:
    value = row.get(column) if column else None
    if value is None or value == "":
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        raise BadSample(f"its {column} {value!r} is no number of seconds") from None
    if not math.isfinite(seconds) or seconds < 0:
        raise BadSample(f"its {column} {value!r} is no time in a video")
    return seconds


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.6f}".rstrip("0").rstrip(".")


def _labels(value: Any, source: TableSource, multilabel: bool) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        if not multilabel:
            raise BadSample("it has a list of labels, and task.kind asks for one")
        values = list(value)
    elif multilabel and isinstance(value, str):
        values = value.split(source.separator) if source.separator else [value]
    else:
        values = [value]
    names = [_name(one) for one in values]
    if multilabel:
        return tuple(sorted({name for name in names if name}))
    if not names[0]:
        raise BadSample("its label is empty")
    return (names[0],)


def _name(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadSample(f"its label {value!r} is neither text nor a whole number")
    return str(value).strip()
