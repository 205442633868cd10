"""How well an order shuffles: what a uniform permutation would give is 1, whatever the classes and their sizes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Int64 = NDArray[np.int64]

WINDOWS = tuple(256 * 4**i for i in range(6))
"""Sizes of `shuffle_window` that `class_excess` looks at, 256 to 262,144 samples."""
SORTED = 0.1
"""`class_excess` from which `plan` warns."""


def unevenness(parts: NDArray[np.integer], class_sizes: Sequence[int] | Int64) -> float:
    """Return how far the class histograms of parts of an epoch are from those of parts of a uniform permutation.

    parts:       labels [p, m], m samples in each of p batches, mixing groups or longer stretches
    class_sizes: [K], samples of each class in the dataset

    The squared distance of a histogram from its expectation m * n_c / N, summed over classes, over what a draw without
    replacement (hypergeometric) gives on average; the mean over parts. 1 for a uniform permutation, m and a little more
    for parts of one class each, 0 where every part has its exact share of each class.
    """
    sizes = np.asarray(class_sizes, np.float64)
    total, m = sizes.sum(), parts.shape[1]
    share = sizes / total
    expected = m * (share * (1 - share)).sum() * (total - m) / (total - 1)
    flat = parts.astype(np.int64) + np.arange(len(parts))[:, None] * len(sizes)
    found, counts = np.unique(flat, return_counts=True)
    # Of the K classes only those that occur are looked at: sum (x - e)^2 = sum x^2 - 2 sum x e + sum e^2
    crossed = (counts * share[found % len(sizes)]).sum()
    squares = float((counts.astype(np.float64) ** 2).sum()) - 2 * m * crossed + len(parts) * m**2 * (share**2).sum()
    return float(squares / len(parts) / expected)


def class_excess(shards: Iterable[ArrayLike], windows: Sequence[int] = WINDOWS) -> dict[int, float]:
    """Map each window -> how sorted by class the samples are that a window of that size shuffles together.

    `shards` are the labels of each shard in stored order. The result is the excess over chance of two samples of a
    window being of one class: 0 for samples in random order, 1 for windows of one class each, and small again for a
    window that holds many classes or many shards (which come in random order). A batch with b samples of each lane has
    an `unevenness` of about 1 + (b - 1) * excess at most; with few shards less, since lanes hold different ones. Needs
    O(classes + largest shard) memory.
    """
    pairs, alike = dict.fromkeys(windows, 0.0), dict.fromkeys(windows, 0.0)
    whole, samples, count = np.zeros(0), 0, 0
    for labels in map(np.asarray, shards):
        whole, histogram = _aligned(whole, np.bincount(labels).astype(np.float64))
        whole, samples, count = whole + histogram, samples + len(labels), count + 1
        for window in windows:
            parts = np.arange(len(labels)) // window
            sizes = np.bincount(parts).astype(np.float64)
            _, same = np.unique(parts * len(histogram) + labels, return_counts=True)
            pairs[window] += float((sizes * (sizes - 1)).sum())
            alike[window] += float((same * (same - 1.0)).sum())
    chance = float((whole * (whole - 1)).sum()) / max(samples * (samples - 1), 1)
    mean = samples / max(count, 1)
    return {
        # A window longer than a shard holds several, and only pairs within one shard can be sorted.
        window: max(0.0, (alike[window] / pairs[window] - chance) / (1 - chance)) * min(1.0, mean / window)
        if pairs[window] and chance < 1
        else 0.0
        for window in windows
    }


def sorted_warning(excess: dict[int, float], shuffle_window: int) -> str | None:
    """Return what to say of a dataset whose classes a window of this size does not mix; None when it does.

    `excess` is of `class_excess`; between its windows the next smaller one counts.
    """
    fitting = [window for window in excess if window <= shuffle_window] or [min(excess)]
    found = excess[max(fitting)]
    if found < SORTED:
        return None
    enough = [window for window, value in sorted(excess.items()) if value < SORTED]
    what = f"raise it to {enough[0]}" if enough else "no window is large enough: let the shard stage write shards anew"
    return (
        f"train.shuffle_window: these shards are sorted by class, and a window of {shuffle_window} samples does not "
        f"mix them (excess {found:.2f}; shuffled shards have 0, one class a window 1); {what}"
    )


def facts_warning(facts: Mapping[str, Any], shuffle_window: int) -> str | None:
    """Return the `sorted_warning` of what the shard stage says of adopted shards:
    `class_excess`, its windows as text.
    """
    excess = facts.get("class_excess")
    return sorted_warning({int(window): value for window, value in excess.items()}, shuffle_window) if excess else None


def _aligned(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    length = max(len(one), len(other))
    return np.pad(one, (0, length - len(one))), np.pad(other, (0, length - len(other)))
