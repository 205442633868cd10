"""How an evaluation walks over a split: every sample exactly once, in batches of one size."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.shards.order import Int64, Positions

Size = tuple[int, int]
"""(H, W) in px."""


@dataclass(frozen=True, eq=False)
class Walk:
    """Samples by size, then in dataset order, in batches of at most `batch_size`.

    counts: int64 [shards], each shard's samples
    sizes:  those that occur, ascending; one where all samples are alike
    of:     int64 [N], the number of each sample's size among `sizes`; None where there is one
    """

    counts: Int64
    batch_size: int
    sizes: tuple[Size, ...]
    of: Int64 | None = None

    @property
    def steps(self) -> int:
        """Batches of the walk."""
        return int(self._batches[-1])

    @property
    def largest(self) -> Size:
        """(H, W) of the batch that needs the most room for a sample."""
        return max(self.sizes, key=lambda size: size[0] * size[1])

    def size(self, k: int) -> Size:
        """Return the size (height, width) of the samples of batch `k`. IndexError outside of the steps."""
        return self.sizes[self._group(k)]

    def batch(self, k: int) -> Positions:
        """Return the samples of batch `k`. IndexError outside of the steps."""
        group = self._group(k)
        first = int(self._samples[group]) + (k - int(self._batches[group])) * self.batch_size
        places = np.arange(first, min(first + self.batch_size, int(self._samples[group + 1])))
        sample = places if self._order is None else self._order[places]
        shard = np.searchsorted(self._ends, sample, side="right")
        return Positions(shard, sample - self._ends[shard] + self.counts[shard], sample, np.zeros_like(sample))

    def _group(self, k: int) -> int:
        """Return the number of the size of batch `k`."""
        if not 0 <= k < self.steps:
            raise IndexError(f"batch {k} does not exist: there are {self.steps}")
        return int(np.searchsorted(self._batches, k, side="right")) - 1

    @cached_property
    def _ends(self) -> Int64:
        return np.cumsum(self.counts)

    @cached_property
    def _order(self) -> Int64 | None:
        return None if self.of is None else np.argsort(self.of, kind="stable")

    @cached_property
    def _samples(self) -> Int64:
        """int64 [sizes + 1]: the first place of each size in the walk, and the end."""
        each = [int(self.counts.sum())] if self.of is None else np.bincount(self.of, minlength=len(self.sizes))
        return np.concatenate([[0], np.cumsum(each)])

    @cached_property
    def _batches(self) -> Int64:
        """int64 [sizes + 1]: the first batch of each size, and the end."""
        return np.concatenate([[0], np.cumsum(-(-np.diff(self._samples) // self.batch_size))])
