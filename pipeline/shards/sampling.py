"""Sampling by class: which samples an epoch has, and how often, before `Order` shuffles them. No state here either.

An epoch of E samples, stated in the recipe, gives class c a number of them, T_c: E times its share of the weight,
rounded so that all add up to E (largest remainder). Its n_c samples share T_c evenly: each comes T_c // n_c times, and
T_c % n_c of them once more, spread evenly over the dataset (systematic sampling). The next epoch begins one further.
So in m epochs each sample of a class comes floor(m * T_c / n_c) or ceil(m * T_c / n_c) times, for m = 1 too.

Three samples of class a and five of class b, balanced, E = 8: T = (4, 4).

    epoch 0    a0 a1    a2 a2       b1 b2 b3 b4
    epoch 1    a0 a1 a1 a2       b0 b1 b2 b3       where each class begins is drawn by the seed

These, repeats side by side, are the samples of the epoch's shards, which `Order` puts on a line as it does with a whole
dataset's. Memory is 8 bytes a sample of the dataset.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cached_property, lru_cache, partial
from math import floor

import numpy as np
from numpy.typing import NDArray

from pipeline.base.keyed import generator
from pipeline.shards.index import Labels
from pipeline.shards.order import Int64, Order, Positions

Int32 = NDArray[np.int32]

MAPPED_SHARDS = 256
"""Of so many shards it is kept which samples an epoch takes: more than lanes read at a time."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """The order of one split with `per_class[c]` samples of class c in an epoch.

    order:     of the whole split; batch size, window, seed and the rest are taken from it
    labels:    int32 [N], in dataset order
    per_class: int64 [K], T; positive only for classes that have samples
    """

    order: Order
    labels: Int32
    per_class: Int64

    def __post_init__(self) -> None:
        """Raise ValueError where labels and counts do not fit."""
        labels, classes = len(self.labels), len(self.per_class)
        if labels != self.order.samples or self.labels.max(initial=-1) >= classes:
            raise ValueError(f"{labels} labels of {self.order.samples} samples, {classes} classes")
        missing = np.flatnonzero((self.per_class > 0) & (self._sizes == 0))
        if missing.size:
            raise ValueError(f"class {missing[0]} has no sample, so none of it can be taken")

    @property
    def steps_per_epoch(self) -> int:
        """E // B, and one more for a kept rest."""
        return self._any_epoch.steps_per_epoch

    def size(self, k: int) -> int:
        """Return n, the samples of batch `k`."""
        return self._any_epoch.size(k)

    def batch(self, epoch: int, k: int) -> Positions:
        """Return the samples of step `k` (0 <= k < steps_per_epoch) of an epoch. IndexError outside."""
        drawn = self._epochs(epoch).batch(epoch, k)
        index, occurrence = np.empty_like(drawn.index), np.empty_like(drawn.index)
        for shard in np.unique(drawn.shard).tolist():
            here = drawn.shard == shard
            ends = self._ends(epoch, shard)
            place = drawn.index[here]
            index[here] = np.searchsorted(ends, place, side="right")
            occurrence[here] = place - np.concatenate([[0], ends])[index[here]]
        return Positions(drawn.shard, index, self._starts[drawn.shard] + index, occurrence)

    def repeats(self, epoch: int, shard: int) -> Int64:
        """Return how often each sample of a shard comes in an epoch, int64 [samples of the shard]."""
        part = slice(self._starts[shard], self._starts[shard] + self.order.counts[shard])
        label = self.labels[part]
        size = self._sizes[label]
        each, more = np.divmod(self.per_class[label], size)
        # The j-th of a class comes once more where a step of `more` around a circle of `size` passes its start.
        at = ((self._numbers[part] + epoch) % size * more + self._phases[label]) % size
        return each + (at + more >= size)

    def __getstate__(self) -> dict[str, object]:
        """Return what travels to other processes: the caches do not."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _starts(self) -> Int64:
        return np.cumsum(self.order.counts) - self.order.counts

    @cached_property
    def _sizes(self) -> Int64:
        """Samples of each class, int64 [K]; by shard, since counting all at once copies the labels as int64."""
        sizes = np.zeros(len(self.per_class), np.int64)
        for start, count in zip(self._starts, self.order.counts, strict=True):
            sizes += np.bincount(self.labels[start : start + count], minlength=len(sizes))
        return sizes

    @cached_property
    def _numbers(self) -> Int32:
        """The number of each sample among those of its class, in dataset order, int32 [N]."""
        numbers = np.empty(len(self.labels), np.int32)
        before = np.zeros(len(self.per_class), np.int64)
        for start, count in zip(self._starts, self.order.counts, strict=True):  # by shard: a sort of all needs memory
            label = self.labels[start : start + count]
            by_class, size = np.argsort(label, kind="stable"), np.bincount(label, minlength=len(before))
            within = np.arange(count) - np.repeat(np.cumsum(size) - size, size)
            numbers[start + by_class] = before[label[by_class]] + within
            before += size
        return numbers

    @cached_property
    def _phases(self) -> Int64:
        return generator(self.order.seed, "sampling").integers(np.maximum(self._sizes, 1))

    @cached_property
    def _any_epoch(self) -> Order:
        return replace(self.order, counts=self.per_class)  # only its sum counts here

    @cached_property
    def _epochs(self) -> Callable[[int], Order]:
        return lru_cache(maxsize=2)(partial(_epoch, self))

    @cached_property
    def _ends(self) -> Callable[[int, int], Int64]:
        return lru_cache(maxsize=MAPPED_SHARDS)(partial(_ends, self))


def _epoch(sampled: Sampled, epoch: int) -> Order:
    """Return the order of what an epoch takes of each shard."""
    counts = [sampled.repeats(epoch, shard).sum() for shard in range(len(sampled.order.counts))]
    return replace(sampled.order, counts=np.array(counts, np.int64))


def _ends(sampled: Sampled, epoch: int, shard: int) -> Int64:
    return np.cumsum(sampled.repeats(epoch, shard))


def one_class(labels: Labels, class_counts: Sequence[int]) -> Int32:
    """Choose the class that each sample counts for, int32 [n]: its own, or the rarest of its set.

    class_counts: [K] samples that have each class; the lower number of equally rare ones. K for an empty set.
    """
    if isinstance(labels, np.ndarray):
        return labels.astype(np.int32)
    rarest = [min(one, key=lambda label: (class_counts[label], label), default=len(class_counts)) for one in labels]
    return np.array(rarest, np.int32)


def largest_remainder(total: int, weights: Sequence[Fraction | int]) -> Int64:
    """Share `total` by weight: whole numbers that add up to it, each floor or ceil of its exact share, int64 [K].

    Those with the largest remainders are rounded up, the first ones of equals. ValueError when all weights are 0.
    """
    whole = sum(weights, Fraction(0))
    if whole <= 0 or min(weights) < 0:
        raise ValueError("weights must not be negative, and one must be positive")
    shares = [Fraction(total) * weight / whole for weight in weights]
    counts = [floor(share) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda i: counts[i] - shares[i])
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return np.array(counts, np.int64)


def samples_per_class(total: int, sizes: Sequence[int], weights: Sequence[Fraction] | None) -> Int64:
    """Compute T, int64 [K]: how many samples of each class an epoch of `total` has.

    sizes:   samples of each class
    weights: of one sample of each class; None gives all classes that have samples the same number
    """
    if weights is None:
        return largest_remainder(total, [Fraction(size > 0) for size in sizes])
    return largest_remainder(total, [size * weight for size, weight in zip(sizes, weights, strict=True)])
