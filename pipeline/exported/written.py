"""Predictions as a table that grows row by row: JSON lines, CSV or Parquet; and the files and drawings beside it."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.exported.predictions import Prediction, cut
from pipeline.tasks.base import Task
from pipeline.tasks.tables import write_csv

Row = dict[str, Any]
ROWS = 1000
"""Of a row group in a Parquet file."""


def table_of(task: Task, top: int, saved: bool) -> dict[str, str]:
    """Return the columns of a table of predictions, with their types: `file`, the task's, and `error`.

    A binary column holds the names of files where they are `saved`, and is not there where they are not.
    """
    columns = {
        name: "string" if kind == "binary" else kind
        for name, kind in task.table(top).items()
        if saved or kind != "binary"
    }
    return {"file": "string", **columns, "error": "string"}


def rows(
    predictions: Iterable[Prediction],
    task: Task,
    save: Path | None = None,
    draw: Path | None = None,
    first: int = 0,
    keep: Callable[[Path, bytes], None] | None = None,
) -> Iterator[Row]:
    """Make a row of each prediction; what is binary becomes a file in the folder `save`, and drawings in `draw`.

    first: number of the first one; files are called by the number and by the name of what they are about
    keep:  is given the files, to write them; by default `write_file`
    """
    keep = keep or write_file
    for number, each in enumerate(predictions, first):
        row: Row = {"file": each.file, **each.answer, "error": each.error}
        stem = f"{number:06d}-{Path(urlsplit(each.file).path if '://' in each.file else each.file).stem[:100]}"
        for name, ending in task.suffixes.items():
            content = row.pop(name, None)
            if save is not None and content is not None:
                row[name] = str(save / f"{stem}{ending}")
                keep(save / f"{stem}{ending}", content)
        if draw is not None and each.drawing is not None:
            from pipeline.figures.caption import captioned

            keep(draw / f"{stem}.jpg", captioned(each.drawing))
        yield row


def write_file(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    os.replace(new, path)


def check_table(path: Path) -> None:
    """Raise ZoetropeError for a table of another kind."""
    if path.suffix.lower() not in WRITERS:
        raise ZoetropeError(f"--out {path}: {unknown('kind of table', path.suffix, WRITERS)}")


def write_table(path: Path, columns: Mapping[str, str], rows: Iterable[Row]) -> None:
    """Write rows as they come, in the form that the name of the file asks for: see `WRITERS`.

    The file of JSON lines and that of CSV grow row by row; a Parquet file is there once it is whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[path.suffix.lower()](path, columns, rows)


def line(row: Row) -> str:
    """Return a row as a line of JSON, without what it has not."""
    return json.dumps({name: value for name, value in row.items() if value is not None}, ensure_ascii=False) + "\n"


def _json_lines(path: Path, columns: Mapping[str, str], rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", buffering=1) as file:
        file.writelines(line(row) for row in rows)


def _csv(path: Path, columns: Mapping[str, str], rows: Iterable[Row]) -> None:
    def cells(row: Row) -> list[Any]:
        found = (row.get(name) for name in columns)
        return [json.dumps(cell, ensure_ascii=False) if isinstance(cell, list) else cell for cell in found]

    write_csv(path, list(columns), map(cells, rows))


def _parquet(path: Path, columns: Mapping[str, str], rows: Iterable[Row]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    single = {"string": pa.string(), "double": pa.float64()}

    def typed(kind: str) -> pa.DataType:
        return pa.list_(typed(kind.removeprefix("list of "))) if kind.startswith("list of ") else single[kind]

    schema = pa.schema((name, typed(kind)) for name, kind in columns.items())
    new = path.with_name(path.name + ".new")
    with parquet.ParquetWriter(new, schema) as writer:
        for part in cut(rows, ROWS):
            writer.write_table(pa.Table.from_pylist(part, schema))
    os.replace(new, path)


WRITERS: dict[str, Callable[[Path, Mapping[str, str], Iterable[Row]], None]] = {
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
}
"""By the suffix of the table's name."""
