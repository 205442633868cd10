"""A table with a row a sample."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from pipeline.sources import tables
from pipeline.sources.listing import SPLIT_OF
from pipeline.sources.path_or_url import is_url, suffix
from pipeline.sources.recognise.tree import Guess, Tree, by_folder

MAX_BYTES = 64 << 20
"""Of a table that is looked at."""
MOST_TABLES = 20
ROWS = 5000
"""So many rows tell what a column is."""
TRIED = 50
"""Rows whose paths are tried, and folders that they are tried in."""
LABELS = ("label", "labels", "class", "classes", "class_name", "category", "categories", "tag", "tags", "target", "y")
MASKS = ("mask", "masks", "segmentation", "seg", "mask_path", "annotation")
SPLITS = ("split", "set", "subset", "partition", "phase", "usage")
SEPARATORS = ("|", ";", ",", " ")
MEDIA = IMAGE_EXTENSIONS | VIDEO_EXTENSIONS


@dataclass(frozen=True)
class _Table:
    """The first rows of a table, and the columns that are known: that of the paths, and the folder these start from."""

    name: str
    names: list[str]
    rows: list[tables.Row]
    path: str
    root: str

    def values(self, column: str) -> list[Any]:
        """Return the values of a column that are not empty."""
        return [row[column] for row in self.rows if row.get(column) not in (None, "")]


def recognise(tree: Tree) -> Guess | None:
    """Take the table most of whose rows lead to files. ZoetropeError where names lack their extensions."""
    found = [one for name in tree.named(*tables.KINDS)[:MOST_TABLES] if (one := _read(tree, name))]
    alone = not (tree.images or tree.videos)
    if alone and found and not (_label(found[0]) or _mask(found[0])):
        raise ZoetropeError(
            f"{tree.path(found[0].name)}: none of its columns {', '.join(found[0].names)} is called label, and no "
            "single one has values that repeat. Call it label."
        )
    found = [one for one in found if _label(one) or _mask(one)]
    if not found:
        return None
    table = max(found, key=lambda one: len(one.rows))
    others = sorted(one.name for one in found if one is not table)
    notes = (f"other tables with paths are left out: {', '.join(others)}",) if others else ()
    return _guess(tree, table, notes)


def _guess(tree: Tree, table: _Table, notes: tuple[str, ...]) -> Guess:
    first = next(value for value in table.values(table.path) if suffix(str(value)) in MEDIA)
    modality = "image" if suffix(str(first)) in IMAGE_EXTENSIONS else "video"
    columns = {"path": table.path}
    source: dict[str, Any] = {"kind": "table", "path": tree.path(table.name)}
    label, mask = _label(table), _mask(table)
    task = f"{modality}-classification"
    if mask and modality == "image":
        columns["mask"], task, label = mask, "segmentation", None
    if label:
        columns["label"] = label
        several, separator = _several(table, label)
        if several:
            task = f"{modality}-multilabel"
            source |= {"separator": separator} if separator else {}
    if (split := _split(table)) is not None:
        columns["split"] = split
    if table.root != os.path.dirname(source["path"]):
        source["root"] = table.root
    if theirs := {ours: theirs for ours, theirs in columns.items() if ours != theirs}:
        source["columns"] = theirs
    said = ", ".join(f"{ours}: {theirs}" for ours, theirs in columns.items())
    return Guess(task, source, f"a table, {table.name}, with the columns {said}", notes)


def _read(tree: Tree, name: str) -> _Table | None:
    """Read a table's first rows; None for one that is none, or has no column of paths that lead to files."""
    path = tree.root / name
    if tree.sizes[name] > MAX_BYTES:
        return None
    try:
        names, rows = tables.read(str(path), path.read_bytes())
        first = list(islice(rows, ROWS))
    except (ZoetropeError, OSError):
        return None
    folder = str(path.parent)
    folders = list(islice(_folders(tree, folder), TRIED))
    for column in names:
        values = [str(row.get(column)).strip() for row in first[:TRIED]]
        for root in folders:
            if _share(_leads(root, value) for value in values) > 0.5:
                return _Table(name, names, first, column, root)
    if len(by_folder([*tree.images, *tree.videos])) <= 1:
        _check_extensions(path, names, first, folders)
    return None


def _folders(tree: Tree, folder: str) -> Iterable[str]:
    """Yield the folders that paths may start from: the table's own, those of the files, and the ones above them."""
    seen = {folder: None}
    yield folder
    for media in by_folder([*tree.images, *tree.videos]):
        parts = media.split("/")
        for depth in range(len(parts), -1, -1):
            one = tree.path("/".join(parts[:depth]))
            if one not in seen:
                seen[one] = None
                yield one
    if not (tree.images or tree.videos):  # the table alone was given
        yield from sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())


def _leads(root: str, value: str) -> bool:
    """Tell whether a value is the path or URL of a picture or a video that is there."""
    return suffix(value) in MEDIA and (is_url(value) or os.path.isfile(os.path.join(root, value.replace("\\", "/"))))


def _check_extensions(path: Path, names: Sequence[str], rows: Sequence[tables.Row], folders: Iterable[str]) -> None:
    """Raise for a column that names files without their extensions."""
    for root in folders:
        stems: dict[str, str] = {}
        for entry in islice(os.scandir(root), ROWS):
            stem, dot, extension = entry.name.rpartition(".")
            if f".{extension.lower()}" in MEDIA and dot:
                stems[stem] = f".{extension}"
        for column in names:
            values = [str(row.get(column)).strip() for row in rows[:TRIED]]
            if stems and _share(value in stems for value in values) > 0.5:
                value = next(value for value in values if value in stems)
                raise ZoetropeError(
                    f"{path}: its column {column!r} names files without their extensions: write {value}{stems[value]} "
                    f"in place of {value}"
                )


def _label(table: _Table) -> str | None:
    """Return the column of the labels: by its name, else the only one whose values repeat."""
    taken = {table.path, _split(table), _mask(table), "start_s", "end_s"}
    left = [name for name in table.names if name not in taken]
    by_name = [name for known in LABELS for name in left if name.lower() == known]
    repeated = [name for name in left if _repeats(table.values(name))]
    return next(iter(by_name), repeated[0] if len(repeated) == 1 else None)


def _repeats(values: list[Any]) -> bool:
    texts = [str(value) for value in values]
    return 1 < len(set(texts)) <= len(texts) / 2 and all(suffix(text) not in MEDIA for text in set(texts))


def _mask(table: _Table) -> str | None:
    """Return the column whose values are PNGs that are there and which is called as masks are."""
    for name in table.names:
        if name != table.path and name.lower() in MASKS:
            values = [str(value).strip() for value in table.values(name)[:TRIED]]
            if _share(suffix(value) == ".png" and _leads(table.root, value) for value in values) > 0.5:
                return name
    return None


def _split(table: _Table) -> str | None:
    """Return the column whose values are names of splits."""
    for name in sorted(table.names, key=lambda name: name.lower() not in SPLITS):
        values = {str(value).strip().lower() for value in table.values(name)}
        if values and values <= SPLIT_OF.keys():
            return name
    return None


def _several(table: _Table, label: str) -> tuple[bool, str | None]:
    """Tell whether samples have several labels, and what stands between these; None for lists."""
    values = table.values(label)
    if any(isinstance(value, list) for value in values):
        return True, None
    texts = [str(value) for value in values]
    for separator in SEPARATORS:
        whole = set(texts)
        parts = {part.strip() for text in whole for part in text.split(separator)}
        joined = _share(separator in text for text in texts)
        if joined > 0 and (separator == "|" or (joined >= 0.1 and 2 * len(parts) <= len(whole))):
            return True, separator
    return False, None


def _share(found: Iterable[bool]) -> float:
    """Return the share of what is true; 0 of nothing."""
    every = list(found)
    return sum(every) / len(every) if every else 0.0
