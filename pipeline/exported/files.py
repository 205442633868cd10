"""What a user names as FILES, to paths and URLs: files, folders, patterns, tables with a column of paths."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.base.bands import RGB, Bands
from pipeline.base.errors import ZoetropeError, unknown
from pipeline.recipe.section import Modality
from pipeline.sources import tables
from pipeline.sources.kinds import extensions_of
from pipeline.sources.path_or_url import folder_of, is_url, joined, read_capped, suffix

COLUMNS = ("path", "file", "filename", "file_name", "image", "video", "url")
"""What the column of a table is called that holds paths; the first of these that it has."""


def named(files: Iterable[str], modality: Modality, column: str | None = None, bands: Bands = RGB) -> Iterator[str]:
    """Yield the paths and URLs that `files` stand for, one after the other, in a known order.

    files: images or videos; folders, of which all images or all videos are taken, as `modality` says, at any depth;
        patterns, as in "photos/**/*.jpg"; tables (.csv, .tsv, .txt, .jsonl, .parquet), whose paths are relative to the
        table; URLs of all but folders
    bands:  what the pictures are
    column: of the tables; by default the first of `COLUMNS` that there is

    ZoetropeError for a pattern, a folder or a table that gives nothing. A file that is not there is yielded.
    """
    extensions = extensions_of(modality, bands)
    for file in files:
        if suffix(file) in tables.KINDS:
            yield from _in_table(file, column)
        elif is_url(file):
            yield file
        elif os.path.isdir(file):
            yield from _some(_in_folder(file, extensions), f"the folder {file} holds no {modality}")
        elif not os.path.lexists(file) and glob.has_magic(file):
            found = (path for path in sorted(glob.iglob(file, recursive=True)) if not os.path.isdir(path))
            yield from _some(found, f"no file is like {file}")
        else:
            yield file


def _in_folder(folder: str, extensions: frozenset[str]) -> Iterator[str]:
    """Yield files in order, folder by folder; what is hidden is passed over."""
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if Path(name).suffix.lower() in extensions and not name.startswith("."):
                yield os.path.join(at, name)


def _in_table(table: str, column: str | None) -> Iterator[str]:
    try:
        names, rows = tables.read(table, read_capped(table, tables.MAX_TABLE_BYTES, "the table"))
        if column is not None and column not in names:
            raise ZoetropeError(f"{table}: {unknown('column', column, names)}")
        if (found := column or next((name for name in COLUMNS if name in names), None)) is None:
            raise ZoetropeError(f"{table}: has the columns {', '.join(names)}; say which holds paths by --column")
        paths = (str(row.get(found) or "").strip() for row in rows)
        yield from _some((joined(folder_of(table), path) for path in paths if path), f"{table} names no file")
    except ZoetropeError as error:
        raise ZoetropeError(str(error).removeprefix("data.source.path: ")) from error


def _some(found: Iterator[str], otherwise: str) -> Iterator[str]:
    """Yield what is found. ZoetropeError where that is nothing."""
    nothing = True
    for each in found:
        nothing = False
        yield each
    if nothing:
        raise ZoetropeError(otherwise)
