"""Tables as JSON lines."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.base.visible import UNSEEN


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line. Whoever prints the file sees no control character, and a reader gets them all."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            text = json.dumps(row, ensure_ascii=False)
            file.write(UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def read_rows(path: Path) -> list[Any]:
    """Return what `write_rows` wrote; who reads it says which rows these are."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
