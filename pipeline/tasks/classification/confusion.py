"""Which class was taken for which: the pairs that occur, since a table of all grows with the square of the classes."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline.tasks.tables import MAX_COLUMNS


class Confusion(NamedTuple):
    """Pairs of a true and a predicted class with how often they occur, each int64 [pairs], the most frequent first."""

    true: np.ndarray
    predicted: np.ndarray
    counts: np.ndarray


def count_pairs(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> Confusion:
    """Count the pairs of `labels` and `predicted`, int [n] each.

    Of equally frequent ones the lower class numbers first.
    """
    pairs, counts = np.unique(labels.astype(np.int64) * num_classes + predicted, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return Confusion(pairs[order] // num_classes, pairs[order] % num_classes, counts[order])


def table(pairs: Confusion, classes: Sequence[str]) -> tuple[tuple[str, ...], Iterator[Sequence[Any]]]:
    """Return header and rows: a row and a column a class, or of more than `MAX_COLUMNS` classes
    a row a pair that occurs.
    """
    if len(classes) > MAX_COLUMNS:
        rows = ((classes[true], classes[guess], count) for true, guess, count in zip(*pairs, strict=True))
        return ("class", "predicted", "count"), rows
    counts = dense(pairs, np.arange(len(classes)))
    return ("class \\ predicted", *classes), ((name, *row) for name, row in zip(classes, counts, strict=True))


def most_confused(pairs: Confusion, num_classes: int, most: int) -> np.ndarray:
    """Return class numbers int64 [most], ascending: those of the most frequent pairs of two different classes.

    Where fewer than `most` are confused at all, the first ones of the others are with them.
    """
    wrong = pairs.true != pairs.predicted
    confused = np.stack([pairs.true[wrong], pairs.predicted[wrong]], axis=1).ravel()
    found = np.concatenate([confused, np.arange(num_classes)])
    _, first = np.unique(found, return_index=True)
    return np.sort(found[np.sort(first)[:most]])


def dense(pairs: Confusion, chosen: np.ndarray) -> np.ndarray:
    """Compute int64 [k, k]: how often each of the classes `chosen`, ascending [k], was taken for each of them."""
    counts = np.zeros((len(chosen),) * 2, np.int64)
    inside = np.isin(pairs.true, chosen) & np.isin(pairs.predicted, chosen)
    rows, columns = (np.searchsorted(chosen, numbers[inside]) for numbers in (pairs.true, pairs.predicted))
    counts[rows, columns] = pairs.counts[inside]
    return counts
