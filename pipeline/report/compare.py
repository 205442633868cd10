"""Two evaluations of the same samples, one against the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.base.keyed import generator

RESAMPLES = 2000
INTERVAL = 0.95
AT_ONCE = 1 << 22
"""Numbers drawn at a time."""


@dataclass(frozen=True)
class Paired:
    """How samples that two evaluations share differ: `after` minus `before`.

    low, high: the ends of the mean difference's interval; gained, lost: places in (before, after) of the samples that
    became better and worse, by how much, the largest change first
    """

    samples: int
    mean: float
    low: float
    high: float
    gained: list[tuple[int, int, float]]
    lost: list[tuple[int, int, float]]


def paired(before: Mapping[str, Any], after: Mapping[str, Any]) -> Paired | None:
    """Compare the samples that both have, by their names; None when there are none. Arguments: `read_details`."""
    there = {name: place for place, name in enumerate(before["file"])}
    pairs = [(there[name], place) for place, name in enumerate(after["file"]) if name in there]
    if not pairs:
        return None
    difference = np.array([after["score"][b] - before["score"][a] for a, b in pairs])
    low, high = bootstrap(difference)
    order = np.argsort(-np.abs(difference), kind="stable")
    changed = [(*pairs[i], float(difference[i])) for i in order.tolist() if difference[i]]
    gained, lost = ([one for one in changed if (one[2] > 0) == better] for better in (True, False))
    return Paired(len(pairs), float(difference.mean()), low, high, gained, lost)


def bootstrap(differences: np.ndarray, resamples: int = RESAMPLES, share: float = INTERVAL) -> tuple[float, float]:
    """Compute a percentile interval of the mean of paired differences [n] (Efron and Tibshirani 1993, section 13.3).

    Differences of few values, as of right and wrong, are resampled by their counts, which is the same and quick.
    """
    n = len(differences)
    draw = generator("bootstrap", n)
    values, counts = np.unique(differences, return_counts=True)
    if len(values) == 1:
        return float(values[0]), float(values[0])
    if len(values) <= 16:
        means = draw.multinomial(n, counts / n, size=resamples) @ values / n
    else:
        each = max(1, AT_ONCE // n)
        parts = [min(each, resamples - first) for first in range(0, resamples, each)]
        means = np.concatenate([differences[draw.integers(0, n, (part, n))].mean(1) for part in parts])
    low, high = np.quantile(means, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def per_class(tables: Sequence[Sequence[Sequence[str]]]) -> tuple[str, list[tuple[str, str, list[float | None]]]]:
    """Lay the first measure of tables `per_class.csv` together: its name; class, samples and the values of all runs.

    Of the classes that the first table has.
    """
    if not all(tables) or len(tables[0][0]) < 3:
        return "", []
    values = [{row[0]: _number(row[2]) for row in table[1:]} for table in tables]
    return tables[0][0][2], [(row[0], row[1], [each.get(row[0]) for each in values]) for row in tables[0][1:]]


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
