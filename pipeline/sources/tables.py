"""Rows of a table file: CSV, JSON lines or Parquet, by path or URL."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.redact import redact
from pipeline.sources.files import suffix

MAX_TABLE_BYTES = 1 << 30
MAX_ROWS = 20_000_000
KINDS = (".csv", ".jsonl", ".parquet")
Row = dict[str, Any]


def read(path: str, content: bytes) -> tuple[list[str], Iterator[Row]]:
    """Column names and rows. CSV values are text, "" where empty; the others may hold numbers, lists and None.

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
    return _csv(path, text) if kind == ".csv" else _json_lines(path, text)


def error(path: str, what: str) -> ZoetropeError:
    """The error for a table."""
    return ZoetropeError(f"data.source.path: {redact(path)} {what}.")


def _csv(path: str, text: str) -> tuple[list[str], Iterator[Row]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)

    def rows() -> Iterator[Row]:
        try:
            for values in reader:
                if not values:  # an empty line
                    continue
                if len(values) != len(names):
                    raise error(
                        path, f"has {len(values)} values in line {reader.line_num}, and its first line {len(names)}"
                    )
                yield dict(zip(names, values, strict=True))
        except csv.Error as wrong:
            raise error(path, f"is no valid CSV in line {reader.line_num}: {wrong}") from None

    try:
        names = [name.strip() for name in next(reader, [])]
    except csv.Error as wrong:
        raise error(path, f"is no valid CSV in line {reader.line_num}: {wrong}") from None
    if len(set(names)) < len(names):
        raise error(path, "has two columns of one name")
    return names, rows()


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
        told = file.metadata
        inflated = sum(told.row_group(i).total_byte_size for i in range(told.num_row_groups))
        names = file.schema_arrow.names
    except (pa.ArrowException, OSError) as wrong:
        raise error(path, f"is no valid Parquet file: {str(wrong).splitlines()[0]}") from None
    if told.num_rows > MAX_ROWS or inflated > MAX_TABLE_BYTES:
        raise error(path, f"has {told.num_rows:,} rows, {inflated:,} bytes unpacked; {MAX_ROWS:,} rows are allowed")

    def rows() -> Iterator[Row]:
        try:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as wrong:
            raise error(path, f"is no valid Parquet file: {str(wrong).splitlines()[0]}") from None

    return names, rows()
