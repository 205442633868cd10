"""Tables that people open with a spreadsheet."""

import csv
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

MAX_COLUMNS = 400
"""Classes up to which each has a column of its own; the table of all pairs has 160,000 cells then."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""With these a cell begins that a spreadsheet takes for a formula, and runs (OWASP, CSV injection)."""


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a header and rows, one after the other: `rows` may be a generator of more than fits into memory.

    Text that a spreadsheet would run gets an apostrophe in front, as does text that begins with one: so whoever reads
    the table takes one apostrophe from the front of a cell that has any. Numbers stay numbers.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        # Quotes, for spreadsheets that part cells by a semicolon: a formula could stand behind one.
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow([_harmless(cell) for cell in header])
        writer.writerows([_harmless(cell) for cell in row] for row in rows)


def _harmless(cell: Any) -> Any:
    if not isinstance(cell, str) or not cell.startswith(("'", *FORMULA)):
        return cell
    with suppress(ValueError):
        float(cell)
        return cell
    return f"'{cell}"
