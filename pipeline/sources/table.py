"""A table with a row a sample: path or URL, label, and perhaps split, start_s and end_s."""

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Any
from unicodedata import category

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.base.redact import redact
from pipeline.decode.limits import ARRAY_EXTENSIONS, BadSample
from pipeline.recipe.section import Modality
from pipeline.recipe.sources import TableSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources import tables
from pipeline.sources.boxed_rows import box_columns, classes_of, with_objects, with_thing, without_spoilt
from pipeline.sources.class_folders import is_utf8
from pipeline.sources.joints import body_of
from pipeline.sources.kinds import refusal
from pipeline.sources.labels import class_name
from pipeline.sources.listing import NEEDED, SPLIT_OF, Candidate, Listing
from pipeline.sources.masks import foreground_of, masks_of
from pipeline.sources.path_or_url import check_url, folder_of, is_url, joined, marks, read_capped, suffix
from pipeline.sources.posed_rows import pose_columns, with_bodies, with_body
from pipeline.sources.samples import Row, together
from pipeline.sources.spelling import Found, finder

LAYOUT = "a row a sample, with a column for the path and one for the label"
BESIDE = ("images", "videos")
"""Folders beside a table that its paths may start from."""
COMPANIONS = {"mask": "seg.png", "instances": "inst.png"}
"""Columns of companions -> what these are called in shards."""


def look(source: TableSource, task: TaskSection, split: Split) -> Listing:
    """List the candidates of a table. ZoetropeError for a table that is none; single rows are refused with a reason."""
    names, rows = tables.read(source.path, _content(source))
    columns = _columns(source, names, task)
    if split.column is not None:
        if split.column not in names:
            raise ZoetropeError(
                f"data.split.group: {redact(source.path)} has no such column: {unknown('column', split.column, names)}"
            )
        columns["group"] = split.column
    if task.modality == "image" and (timed := [name for name in ("start_s", "end_s") if name in columns]):
        raise tables.error(source.path, f"has the column {columns[timed[0]]!r}, and images have no times")
    body, boxed = body_of(task), task.answers in ("objects", "keypoints")
    posed = pose_columns(source, names, body) if body else None
    if posed and source.relative:
        raise ZoetropeError("data.source.relative: key points of a table are in pixels; leave it out.")
    box = box_columns(source, names) if boxed and not posed else ()
    classes = classes_of(source) if boxed else {}
    find, rows = _finder(source, rows, columns["path"])
    spoilt: dict[Any, int] = {}
    others: Counter[str] = Counter()
    good: list[Row] = []
    other_files: list[Row] = []
    refused: dict[int, str] = {}
    for number, values in enumerate(rows, 1):
        try:
            row = _row(number, values, columns, find, source, task)
            if posed and row is not None:
                row = with_body(row, values, columns, posed, source, classes)
            elif boxed and row is not None:
                row = with_thing(row, values, columns, box, source, classes)
        except BadSample as error:
            refused[number] = error.reason
            if boxed:
                with suppress(BadSample):
                    spoilt[_find(values.get(columns["path"]), find).file] = number
            continue
        if row is None:
            others["in test, without a label"] += 1
        elif why := _refusal(suffix(row.found.path), task.modality):
            refused[number] = why
            other_files.append(row)
        else:
            good.append(row)
    if len(other_files) > len(good):
        first = other_files[0]
        raise tables.error(
            source.path,
            f"names files that are no {task.modality}s in {len(other_files):,} rows, such as {first.found.key} in row "
            f"{first.number}: {refused[first.number]}. Set task.kind to what they are, as "
            "recipes/table-images.yaml does for images and recipes/table.yaml for videos",
        )
    good = without_spoilt(good, spoilt, refused) if spoilt else good
    candidates, contradictions, repeated = together(good, task.label_sets)
    if body:
        candidates = with_bodies(candidates, good, body)
    elif boxed:
        candidates = with_objects(candidates, good, source)
    refused |= contradictions
    if repeated:
        others["the same as another row"] = repeated
    if not candidates:
        why = f"has no row that can be used; row {min(refused)}: {refused[min(refused)]}" if refused else ""
        raise tables.error(source.path, why or f"is empty. It should hold {LAYOUT}")
    candidates, by_ratio = _open(candidates, source, columns)
    there = {label for candidate in candidates for label in candidate.labels}
    masks = {}
    if "mask" in columns or "instances" in columns:
        masks = {"": masks_of(source) if "mask" in columns else foreground_of(source)}
    return Listing(
        candidates,
        others,
        held_out_by_ratio=by_ratio,
        where=f"data.source.path: {redact(source.path)}",
        layout=LAYOUT,
        own_split="give the table a column `split`",
        refused={f"row {number}": refused[number] for number in sorted(refused)},
        lost={
            label: f"row {row.number}, which is refused: {refused[row.number]}"
            for row in reversed([*good, *other_files])
            for label in row.labels
            if row.number in refused and label not in there
        },
        class_order=tuple(name for one in masks.values() for name in one.classes if name) or tuple(classes),
        masks=masks,
        declared=tuple(classes),
    )


def _open(candidates: list[Candidate], source: TableSource, columns: Mapping[str, str]) -> tuple[list[Candidate], bool]:
    """Leave open what `data.split` decides, and tell whether it does: of a table that says train and test alone, train.

    ZoetropeError where a split is missing.
    """
    if "split" not in columns:
        return candidates, True
    counts = Counter(candidate.split for candidate in candidates)
    if counts.keys() == {"train", "test"}:
        return [replace(one, split="") if one.split == "train" else one for one in candidates], True
    if absent := [split for split in NEEDED if not counts[split]]:
        what = ", ".join(f"{count} x {name}" for name, count in counts.items()) or "none else"
        raise tables.error(
            source.path,
            f"has no row of the split {absent[0]!r} in its column {columns['split']!r}, but {what}. "
            "Rename one of them, or drop the column: then data.split holds out",
        )
    return candidates, False


def digest(source: TableSource) -> str:
    """Hash the table's content, and size and time of change (or etag) of every file that it names."""
    content = _content(source)
    names, rows = tables.read(source.path, content)
    columns = _columns(source, names)
    named = [columns[ours] for ours in ("path", *COMPANIONS) if ours in columns]
    find, rows = _finder(source, rows, columns["path"])
    paths = set()
    for row in rows:
        for column in named:
            with suppress(BadSample):
                paths.add(_find(row.get(column), find).path)
    known = hashlib.sha256(hashlib.sha256(content).digest())
    if source.classes is not None:
        known.update(repr(masks_of(source)).encode())
    for path, mark in sorted(marks(paths).items()):
        known.update(f"{path}\0{mark}\n".encode())
    return known.hexdigest()


def _finder(
    source: TableSource, rows: Iterator[tables.Row], column: str
) -> tuple[Callable[[str], Found], Iterator[tables.Row]]:
    """Return what finds the files of rows, and the rows.

    Relative paths start from `root`, else from the table's folder, or from images/ or videos/ in it, where the first
    file lies there and not in the former.
    """
    own, first = source.root or folder_of(source.path), next(rows, None)
    if first is None:
        return finder(own), rows
    named = first.get(column)
    if (
        source.root is None
        and isinstance(named, str)
        and not (is_url(own) or os.path.exists(joined(own, named.strip())))
    ):
        inside = [folder for name in BESIDE if os.path.exists(joined(folder := f"{own}/{name}", named.strip()))]
        own = next(iter(inside), own)
    return finder(own), chain([first], rows)


def _content(source: TableSource) -> bytes:
    return read_capped(source.path, tables.MAX_TABLE_BYTES, "data.source.path: the table")


def _columns(source: TableSource, names: list[str], task: TaskSection | None = None) -> dict[str, str]:
    """Map our name of a column to the table's; of optional ones those that it has. Raises for one that is asked for.

    Without a task, as for a digest, what it asks for is taken where it is there. A column that is only called `mask`
    counts where `classes` says what it means, so that what other tables say by it changes nothing.
    """
    asked = source.columns.model_dump(exclude={"box"})
    masked = source.classes is not None if task is None else task.answers == "mask"
    boxed = task is not None and task.answers in ("objects", "keypoints")
    unnamed = task is not None and task.answers == "keypoints"  # all of one class may do without a label
    columns = {}
    for ours, theirs in asked.items():
        if ours in COMPANIONS and task and not masked:
            continue
        if theirs is None:
            if ours in names and (ours not in COMPANIONS or masked) and (ours != "crowd" or boxed):
                columns[ours] = ours
        elif theirs in names:
            columns[ours] = theirs
        elif ours != "label" or (task and not masked and not unnamed):
            raise ZoetropeError(
                f"data.source.columns.{ours}: {redact(source.path)} has no such column: "
                f"{unknown('column', theirs, names) if names else 'the table is empty'}"
            )
    if task and masked and not COMPANIONS.keys() & columns.keys():
        raise ZoetropeError(
            f"data.source.columns.mask: {redact(source.path)} has no column `mask`, but {', '.join(names) or 'none'}; "
            f"say which one names the masks that task.kind {task.kind} needs."
        )
    return columns


def _row(
    number: int,
    row: Mapping[str, Any],
    columns: Mapping[str, str],
    find: Callable[[str], Found],
    source: TableSource,
    task: TaskSection,
) -> Row | None:
    """Return one row; None for one in test that has no label. BadSample for one that cannot be used."""
    found = _find(row.get(columns["path"]), find)
    if is_url(found.path):
        check_url(found.path)
    start_s, end_s = (_seconds(row, columns.get(name)) for name in ("start_s", "end_s"))
    if end_s is not None and end_s <= (start_s or 0.0):
        raise BadSample(f"end_s {end_s:g} is not behind start_s {start_s or 0:g}")
    split = _split(row, columns, source) if "split" in columns else ""
    masked = task.answers != "classes"  # of objects each row has a label, which is read beside its box
    if split == "test" and not masked and not task.label_sets and row.get(columns["label"]) in (None, ""):
        return None  # as where a benchmark keeps them to itself
    labels = () if masked else _labels(row.get(columns["label"]), source, task.label_sets)
    members = {
        name: _companion(row.get(columns[ours]), ours, find) for ours, name in COMPANIONS.items() if ours in columns
    }
    if "inst.png" in members:
        members.setdefault("seg.png", members["inst.png"])
    group = _text(row.get(columns["group"])) if "group" in columns else ""
    if "group" in columns and not group:
        raise BadSample(f"its {columns['group']} is empty, by which data.split.group keeps samples together")
    return Row(number, found, start_s, end_s, labels, split, group, members)


def _split(row: Mapping[str, Any], columns: Mapping[str, str], source: TableSource) -> str:
    """Return the split of a row. ZoetropeError for a word that is none."""
    word = _text(row.get(columns["split"])).lower()
    if word not in SPLIT_OF:
        raise ZoetropeError(
            f"data.source.columns.split: {redact(source.path)} says {word!r} for {row.get(columns['path'])}; known are "
            f"{', '.join(SPLIT_OF)}."
        )
    return SPLIT_OF[word]


def _text(value: Any) -> str:
    """Return what a cell says, without blanks around it; a whole number without a point, as in a class's name."""
    whole = isinstance(value, float) and value.is_integer()
    return "" if value is None else str(int(value) if whole else value).strip()


def _companion(named: Any, ours: str, find: Callable[[str], Found]) -> str:
    """Find where the path of a companion leads. BadSample for what is no path."""
    try:
        path = _find(named, find).path
    except BadSample as error:
        raise BadSample(f"its {ours}: {error.reason}") from error
    if is_url(path):
        check_url(path)
    return path


def _refusal(extension: str, modality: Modality) -> str | None:
    """Do as `refusal`, but leave pictures that are arrays to whoever reads them, who knows `data.channels`."""
    is_array = modality == "image" and extension in ARRAY_EXTENSIONS
    return None if is_array else refusal(extension, modality)


def _find(named: Any, find: Callable[[str], Found]) -> Found:
    """Tell where a row's path leads. BadSample for what is no path."""
    if not isinstance(named, str) or not named.strip():
        raise BadSample(f"its path is {'empty' if named in (None, '') else repr(named)}")
    if not is_utf8(named):
        raise BadSample("its path is no text")
    if not named.isprintable() and any(category(c) == "Cc" for c in named.strip()):
        raise BadSample(f"its path {named!r} has a control character")
    return find(named.strip())


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


def _labels(value: Any, source: TableSource, label_sets: bool) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        if not label_sets:
            raise BadSample("it has a list of labels, and task.kind asks for one")
        values = list(value)
    elif label_sets and isinstance(value, str):
        values = value.split(source.separator) if source.separator else [value]
    else:
        values = [value]
    if label_sets:
        return tuple(sorted({class_name(one) for one in values if one is not None and str(one).strip()}))
    return (class_name(value),)
