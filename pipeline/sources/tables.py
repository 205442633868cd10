"""Rows of a table file: text with a separator, JSON lines or Parquet, by path or URL."""

import csv
import io
import json
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.base.redact import redact
from pipeline.decode.limits import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from pipeline.sources.path_or_url import suffix

MAX_TABLE_BYTES = 1 << 30
MAX_ROWS = 20_000_000
TEXTS = (".csv", ".tsv", ".txt")
KINDS = (*TEXTS, ".jsonl", ".parquet")
SEPARATORS = (",", "\t", ";", " ")
SNIFFED_LINES, SNIFFED_CHARACTERS = 20, 1 << 16
Row = dict[str, Any]


def read(path: str, content: bytes) -> tuple[list[str], Iterator[Row]]:
    """Read column names and rows. Values of text files are text, "" where empty; others may hold numbers, lists and
    None.

    The separator is found by the first lines. A list may lack a heading, when its first line names an image or a video.

    Raises ZoetropeError, naming the table and the row, for content that is no such table; for rows while iterating.
    """
    kind = suffix(path)
    if kind not in KINDS:
        raise error(path, f"is no table by its name, which should end in one of {', '.join(KINDS)}")
    if kind == ".parquet":
        return _parquet(path, content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = content.count(b"\n", 0, wrong.start) + 1
        raise error(path, f"is no text in UTF-8 (line {line}); save it as UTF-8") from None
    return _separated(path, text) if kind in TEXTS else _json_lines(path, text)


def error(path: str, what: str) -> ZoetropeError:
    """Make the error for a table."""
    return ZoetropeError(f"data.source.path: {redact(path)} {what}.")


def _separated(path: str, text: str) -> tuple[list[str], Iterator[Row]]:
    reader = _reader(text, _separator(text), strict=True)

    def filled() -> Iterator[list[str]]:
        """Yield all but empty lines; those of separators alone are empty, too."""
        try:
            for values in reader:
                if any(value.strip() for value in values):
                    yield values
        except csv.Error as wrong:
            raise error(path, f"is no valid CSV in line {reader.line_num}: {wrong}") from None

    lines = filled()
    heading = next(lines, [])
    if heading and suffix(heading[0].strip()) in IMAGE_EXTENSIONS | VIDEO_EXTENSIONS:
        lines, heading = chain([heading], lines), _heading(path, heading)
    names = [name.strip() for name in heading]
    known = [name for name in names if name]
    if len(set(known)) < len(known):
        raise error(path, "has two columns of one name")
    nameless = [i for i, name in enumerate(names) if i and not name]  # what pandas writes begins with its index
    needed = max((column for column, name in enumerate(names) if name), default=-1) + 1

    def rows() -> Iterator[Row]:
        for values in lines:
            if len(values) < needed or any(value.strip() for value in values[len(names) :]):
                raise error(
                    path, f"has {len(values)} values in line {reader.line_num}, and its first line {len(names)}"
                )
            if stray := [i + 1 for i in nameless if any(value.strip() for value in values[i : i + 1])]:
                columns = f"columns {' and '.join(map(str, stray))} have" if stray[1:] else f"column {stray[0]} has"
                raise error(path, f"has values in line {reader.line_num} whose {columns} no name; name or remove them")
            yield {name: value for name, value in zip(names, values, strict=False) if name}

    return known, rows()


def _heading(path: str, first: list[str]) -> list[str]:
    """Return the columns of a list without a heading: path and label, and in those of MMAction2
    and TSM also the length.
    """
    kind, others = suffix(first[0].strip()), first[1:]
    if len(others) == 1:
        return ["path", "label"]
    if len(others) == 2 and kind in VIDEO_EXTENSIONS and all(value.strip().isdecimal() for value in others):
        return ["path", "total_frames", "label"]
    raise error(path, f"has no heading, and {len(first)} columns; name them in its first line: path,label,split")


def _reader(text: str, separator: str, strict: bool) -> Any:
    # A blank before a quote, as in `a.jpg, "big, red"`: without it the quotes would be part of the value.
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=strict)


def _separator(text: str) -> str:
    """Return the first that cuts each of the first lines into as many columns, two or more; a comma where none does."""
    head = text[:SNIFFED_CHARACTERS]
    for separator in SEPARATORS:
        lines = list(islice(filter(None, _reader(head, separator, strict=False)), SNIFFED_LINES))
        if len(head) < len(text) and len(lines) < SNIFFED_LINES:
            del lines[-1:]  # cut off
        full = {len(line) for line in lines}
        filled = {max((i + 1 for i, value in enumerate(line) if value), default=0) for line in lines}
        if any(len(widths) == 1 and min(widths) > 1 for widths in (full, filled)):
            return separator
    return ","


def _json_lines(path: str, text: str) -> tuple[list[str], Iterator[Row]]:
    found: list[Row] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise error(path, f"has no valid JSON in line {number}") from None
        if not isinstance(row, dict):
            raise error(path, f'has no object in line {number}; a row is written as {{"path": ..., "label": ...}}')
        found.append(row)
    return list(dict.fromkeys(name for row in found for name in row)), iter(found)


def _parquet(path: str, content: bytes) -> tuple[list[str], Iterator[Row]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pa.BufferReader(content), memory_map=False)
        metadata = file.metadata
        inflated = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        names = file.schema_arrow.names
    except (pa.ArrowException, OSError) as wrong:
        raise error(path, f"is no valid Parquet file: {str(wrong).splitlines()[0]}") from None
    if len(set(names)) < len(names):
        raise error(path, "has two columns of one name")
    if metadata.num_rows > MAX_ROWS or inflated > MAX_TABLE_BYTES:
        raise error(path, f"has {metadata.num_rows:,} rows, {inflated:,} bytes unpacked; {MAX_ROWS:,} rows are allowed")

    def rows() -> Iterator[Row]:
        try:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as wrong:
            raise error(path, f"is no valid Parquet file: {str(wrong).splitlines()[0]}") from None

    return names, rows()
