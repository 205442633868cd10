"""Official weights that a drafted recipe starts from."""

import urllib.request
from functools import lru_cache

from models.official import Official, weights_of
from models.options import OPTIONS
from models.weights import file_here
from models.weights.fetch import StayOnTheWeb
from pipeline.base.errors import ZoetropeError
from pipeline.tasks.suited import Start

TIMEOUT_S = 3.0


def start_of(kind: str) -> Start | None:
    """Return the official weights of a model: of the whole network before those of a trunk alone; None for none."""
    rows = [row for row in weights_of(kind) if _fits(row, kind)]
    if not rows:
        return None
    row = min(rows, key=lambda row: row.of != kind)

    def here() -> bool:
        return file_here(row) is not None or can_be_fetched(row.url)

    return Start(row.name, row.licence, row.mean, row.std, row.resize_px, row.crop_px, here)


def _fits(row: Official, kind: str) -> bool:
    """Tell whether the file fits the model as it is where a recipe says no more than its name."""
    fields = OPTIONS[kind].model_fields
    return all(fields[name].default == value for name, value in row.model_options.items())


@lru_cache
def can_be_fetched(url: str, timeout_s: float = TIMEOUT_S) -> bool:
    """Ask the server for the file's head alone; False where it does not answer in time."""
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "zoetrope"})
    try:
        with urllib.request.build_opener(StayOnTheWeb).open(request, timeout=timeout_s) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, ZoetropeError):  # urllib's errors are OSErrors
        return False
