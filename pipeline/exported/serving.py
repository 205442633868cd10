"""What a server answers: a row a file, also for one that cannot be used, which costs no other its answer."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.decode.image import encode_png
from pipeline.exported.predictions import predictions
from pipeline.exported.predictor import Predictor

MAX_PIXELS = 50_000_000
"""Of a picture, which takes 150 MB while it is decoded: a server has many at a time. Telephones make up to 50 million
by default; a run takes nearly twice as many."""
PARAMETERS: dict[str, Any] = {"top": 1, "max_pixels": MAX_PIXELS}
"""Names that every model takes, and their defaults."""


def serve(
    predictor: Predictor,
    files: Sequence[tuple[str | None, bytes]],
    top: int = 1,
    max_pixels: int = MAX_PIXELS,
    overlay: bool = False,
) -> dict[str, list[Any]]:
    """Return the columns of the answers to files, by name (None: by their places) and content.

    `error` is None for a file that can be used; of another it says which file and why, and the other columns are None.
    """
    capped = [_capped(predictor, max_pixels)]
    columns = [*predictor.task.table(top), *(["overlay"] if overlay else []), "error"]
    table: dict[str, list[Any]] = {name: [] for name in columns}
    found = predictions(capped, (content for _, content in files), top=top, draw=overlay)
    for place, ((name, _), each) in enumerate(zip(files, found, strict=True)):
        row = dict(each.answer)
        if each.drawing is not None:
            row["overlay"] = encode_png(each.drawing.pixels)
        if each.error is not None:
            row["error"] = f"{name or f'row {place}'}: {each.error}"
        for column, values in table.items():
            values.append(row.get(column))
    return table


def _capped(predictor: Predictor, max_pixels: int) -> Predictor:
    capped = copy.copy(predictor)
    capped.sight = replace(predictor.sight, cap_pixels=max_pixels)
    return capped
