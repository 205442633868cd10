"""The curves of a training: few points of each metric, for a page."""

import math
from collections.abc import Iterable
from typing import Any

from pipeline.tracking.spool import Point

MOST = 100
"""Points of a curve."""
SHOWN = ("train/", "val/", "throughput/", "lr")
"""What names of metrics begin with that a page shows."""
DIGITS = 5


def thinned(points: Iterable[Point]) -> dict[str, list[list[Any]]]:
    """Return name -> [steps, values] of at most 100 points, evenly picked, the last one among them; NaN as None."""
    whole: dict[str, dict[int, float]] = {}
    for point in points:
        if point.key.startswith(SHOWN):
            whole.setdefault(point.key, {})[point.step] = point.value
    found: dict[str, list[list[Any]]] = {}
    for name, values in whole.items():
        steps = sorted(values)
        every = max(1, math.ceil(len(steps) / MOST))
        kept = steps[::-1][::every][::-1]
        found[name] = [kept, [_short(values[step]) for step in kept]]
    return found


def _short(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
