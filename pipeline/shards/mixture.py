"""Mixtures: which source each position of an endless sequence belongs to, and which of its samples. No state either.

Shares 3 : 1 of two sources make a schedule of 4 positions, a a b a, that repeats for ever. Every source walks its own
endless order: its first epoch as `Order` shuffles it, with all samples and no rest, then its second, and so on. The
number in it that position p takes is how many positions before p are the source's, which is arithmetic. Batch k of
epoch e is the B positions from (e * S + k) * B on; an epoch of E samples has S = E // B. So nothing is dropped.

    position    0  1  2  3 |  4  5  6  7 |  8  9 10 11      source a: 1 4 0 2 3, 2 1 4 3 0, ...
    source      a  a  b  a |  a  a  b  a |  a  a  b  a      source b: 2 0 1, 0 1 2, ...
    sample      1  4  2  0 |  2  3  0  2 |  1  4  1  3

The schedule is Tijdeman's ("The chairman assignment problem", 1980): of the sources that have had too little, the one
whose turn is due first. The largest remainders, taken anew at every p, could take back what a source has had; this
stays within 1 - 1 / (2D - 2) of p * share at every p.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm

import numpy as np

from pipeline.base.keyed import seed64
from pipeline.shards.order import Int64, Order, Positions
from pipeline.shards.sampling import largest_remainder

ROW = 64
"""Samples that are taken of a source at once, one a lane."""
LONGEST = 10_000
"""Positions after which a schedule repeats, about, at most: shares that need more are rounded to parts of so many."""


def parts(shares: Sequence[Fraction]) -> list[int]:
    """Compute whole numbers in the proportions of `shares`, which must be positive.

    Rounded where their sum is over LONGEST.
    """
    whole = sum(shares, Fraction(0))
    if not shares or min(shares) <= 0:
        raise ValueError(f"shares must be positive, not {[str(share) for share in shares]}")
    length = lcm(*((share / whole).denominator for share in shares))
    counts = [int(share / whole * length) for share in shares]
    if length > LONGEST:
        counts = [max(1, count) for count in largest_remainder(LONGEST, shares).tolist()]
    return [count // gcd(*counts) for count in counts]


def schedule(counts: Sequence[int]) -> Int64:
    """Compute int64 [M], M the sum of `counts`: the source of each position until it repeats; source d has counts[d] of
    them.

    Before each position p, a source has had less than one sample more or less than p * counts[d] / M.
    """
    length, slack = sum(counts), 2 * len(counts) - 2
    had, owner = [0] * len(counts), []
    for p in range(1, length + 1):
        # In units of 1 / (slack * length): how far each would be behind, were it not chosen.
        behind = [slack * (p * count - length * n) for count, n in zip(counts, had, strict=True)]
        allowed = [d for d in range(len(counts)) if behind[d] >= length]
        due = min(allowed or [0], key=lambda d: Fraction((slack - 1) * length - behind[d], counts[d]))
        had[due] += 1
        owner.append(due)
    return np.array(owner, np.int64)


@dataclass(frozen=True, eq=False)
class Mixture:
    """The training order of a mixture, for every epoch.

    order:   of the split that all sources lie in; batch size, window and seed are taken from it
    sources: the source of each shard, int64 [num_shards]
    counts:  positions of each source in a schedule, see `parts`
    samples: E, of an epoch
    """

    order: Order
    sources: Int64
    counts: tuple[int, ...]
    samples: int

    def __post_init__(self) -> None:
        """Raise ValueError where a source has no sample, or the shards do not fit."""
        if len(self.sources) != len(self.order.counts):
            raise ValueError(f"{len(self.sources)} sources of {len(self.order.counts)} shards")
        held = np.bincount(self.sources, self.order.counts, len(self.counts))
        if len(held) > len(self.counts) or not held.all():
            raise ValueError(f"samples of each source: {held.tolist()}, positions of each: {self.counts}")

    @property
    def steps_per_epoch(self) -> int:
        """E // B."""
        return self.samples // self.order.batch_size

    def size(self, k: int) -> int:
        """Return B, for every batch `k`."""
        self._check(0, k)
        return self.order.batch_size

    def batch(self, epoch: int, k: int) -> Positions:
        """Return the samples of step `k` (0 <= k < steps_per_epoch) of an epoch. IndexError outside."""
        self._check(epoch, k)
        start = (epoch * self.steps_per_epoch + k) * self.order.batch_size
        turn, within = divmod(start, len(self._schedule))
        owner = self._schedule[(within + np.arange(self.order.batch_size)) % len(self._schedule)]
        columns = np.empty((4, len(owner)), np.int64)
        for d, count in enumerate(self.counts):
            here = np.flatnonzero(owner == d)
            if here.size:
                first = turn * count + int((self._schedule[:within] == d).sum())
                columns[:, here] = self._taken(d, first, len(here))
        return Positions(*columns)

    def _taken(self, d: int, first: int, count: int) -> Int64:
        """Return samples first ... first + count of a source's endless order, as columns of `Positions`, int64 [4,
        count].

        Which of the source's epochs a sample is from tells its occurrences in ours apart.
        """
        walk, shards = self._walks[d], self._shards[d]
        rows = []
        place, end = first, first + count
        while place < end:
            epoch, at = divmod(place, walk.samples)
            k, skipped = divmod(at, ROW)
            row = walk.batch(epoch, k)[skipped : skipped + end - place]
            shard = shards[row.shard]
            rows.append(np.stack([shard, row.index, self._starts[shard] + row.index, np.full(len(row), epoch)]))
            place += len(row)
        return np.concatenate(rows, axis=1)

    def _check(self, epoch: int, k: int) -> None:
        if epoch < 0 or not 0 <= k < self.steps_per_epoch:
            raise IndexError(f"batch {k} of epoch {epoch} does not exist: there are {self.steps_per_epoch} in each")

    def __getstate__(self) -> dict[str, object]:
        """Return what travels to other processes: the caches do not."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _schedule(self) -> Int64:
        return schedule(self.counts)

    @cached_property
    def _starts(self) -> Int64:
        return np.cumsum(self.order.counts) - self.order.counts

    @cached_property
    def _shards(self) -> list[Int64]:
        return [np.flatnonzero(self.sources == d) for d in range(len(self.counts))]

    @cached_property
    def _walks(self) -> list[Order]:
        window, seeds = (
            self.order.shuffle_window,
            [seed64(self.order.seed, "source", d) for d in range(len(self.counts))],
        )
        return [
            Order(self.order.counts[shards], ROW, window, seed, keep_last=True)
            for shards, seed in zip(self._shards, seeds, strict=True)
        ]
