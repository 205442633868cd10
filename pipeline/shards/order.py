"""Which samples make batch `k` of an epoch: arithmetic on (seed, epoch, k), with no state anywhere.

Four shards of 6, 4, 7 and 5 samples (N = 22), batch size B = 4, windows of 3. B has 4 lanes, so a batch takes
b = B / lanes = 1 sample from each:

    dataset       shard 0          | shard 1 | shard 2              | shard 3
                  0  1  2  3  4  5 | 6 7 8 9 | 10 11 12 13 14 15 16 | 17 18 19 20 21

    the line      shard 0          | shard 2              | shard 1 | shard 3           shards permuted by (seed, epoch)
                  0  1  2  3  4  5 | 10 11 12 13 14 15 16 | 6 7 8 9 | 17 18 19 20 21   and laid end to end

    lanes         0  1  2  3  4 || 5  10 11 12 13 14 || 15 16 6 7 8 || 9 17 18 19 20 21
                  equal to within one sample; a shard may lie across a cut

    windows       0  1 : 2  3  4    each lane in windows of at most 3 samples, equal to within one sample
    shuffled      1  0 : 4  3  2    each by its own draw, keyed by (seed, epoch, lane, window)

Lay the shuffled lanes below each other, themselves in an order permuted by (seed, epoch). Step k takes the samples
k*b ... (k+1)*b of every lane, so a batch is a column here, read lane after lane:

              k = 0   k = 1   k = 2   k = 3   k = 4    rest
    lane 2      15      16       6       7       8
    lane 1       5      10      11      14      13      12
    lane 0       1       0       4       3       2
    lane 3      18       9      17      19      21      20

The rest (fewer than B samples, others each epoch) is dropped, or is a last, smaller batch when `keep_last` is set.
So a batch mixes samples from `lanes` far-away places of the dataset, while a node reads few shards at a time.

Where g = `mix_group` neighbours are mixed with each other, lane after lane would put samples of one window in a group.
Then the lanes are taken in blocks of g or a few more, and a block is laid out column after column: a group has g
different lanes, and a rank still reads few of them. With blocks of 2 lanes and b = 2, two columns of the table above:

    lane after lane    15 16  5 10 |  1  0 18  9        in blocks    15  5 16 10 |  1 18  0  9

The number of lanes depends on B alone, and nothing here knows of ranks, workers or processes: a rank takes its slice
of the batch with `rank_slice`. Memory is O(shards + lanes x window), whatever N is. What an epoch shares between its
batches is kept in small caches, which change the time and never the answer.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache, partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.base.keyed import generator

Int64 = NDArray[np.int64]

MAX_LANES = 64


@dataclass(frozen=True, eq=False)
class Positions:
    """The n samples of a batch, in its order.

    shard:  int64 [n], the shard's number in dataset order
    index:  int64 [n], the sample's number in its shard
    sample: int64 [n], the sample's number in the dataset: samples of all shards before its own, plus `index`
    occurrence: int64 [n], tells apart the times that a sample comes in one epoch; 0 where it comes once
    """

    shard: Int64
    index: Int64
    sample: Int64
    occurrence: Int64

    def __len__(self) -> int:
        return len(self.sample)

    def __getitem__(self, part: slice) -> "Positions":
        """Return a part of the batch, for instance `positions[rank_slice(...)]`."""
        return Positions(self.shard[part], self.index[part], self.sample[part], self.occurrence[part])


class TrainingOrder(Protocol):
    """What `Order`, `Sampled` and `Mixture` have in common: any batch of any epoch, without state."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""

    def batch(self, epoch: int, k: int) -> Positions:
        """Return the samples of step `k` of an epoch. IndexError outside."""


@dataclass(frozen=True, eq=False)
class Order:
    """The training order of one split, for every epoch.

    counts:         int64 [num_shards], samples of each shard in dataset order
    batch_size:     B, the global batch in samples
    shuffle_window: most samples of one lane that are shuffled together (64 lanes shuffle 64 times as many)
    mix_group:      g, neighbours in a batch that are mixed with each other; they stay on one rank
    keep_last:      keep the last, smaller batch of an epoch
    """

    counts: Int64
    batch_size: int
    shuffle_window: int
    seed: int
    mix_group: int = 1
    keep_last: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for counts that are no counts, and for sizes below 1."""
        object.__setattr__(self, "counts", _checked(self.counts, self.batch_size))
        if self.shuffle_window < 1 or self.mix_group < 1:
            raise ValueError(f"shuffle_window {self.shuffle_window} and mix_group {self.mix_group} must be at least 1")

    @cached_property
    def samples(self) -> int:
        """N, the samples of the dataset's split."""
        return int(self.counts.sum())

    @cached_property
    def _shard_starts(self) -> Int64:
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def lanes(self) -> int:
        """The largest divisor of the batch size that is at most 64: it depends on the recipe alone."""
        return max(lanes for lanes in range(1, MAX_LANES + 1) if self.batch_size % lanes == 0)

    @property
    def steps_per_epoch(self) -> int:
        """N // B, and one more for a kept rest. 0 when there are fewer samples than a batch (and no rest is kept)."""
        full, rest = divmod(self.samples, self.batch_size)
        return full + (self.keep_last and rest > 0)

    def size(self, k: int) -> int:
        """Return n, the samples of batch `k`: B, but for a kept last batch."""
        _check_step(k, self.steps_per_epoch)
        return min(self.batch_size, self.samples - k * self.batch_size)

    def rank_slice(self, k: int, rank: int, world: int) -> slice:
        """Return the part of batch `k` that a rank trains on.

        Empty when a kept last batch has fewer groups than ranks.
        """
        return rank_slice(self.size(k), self.mix_group, rank, world)

    def batch(self, epoch: int, k: int) -> Positions:
        """Return the samples of step `k` (0 <= k < steps_per_epoch) of an epoch. IndexError outside."""
        if epoch < 0:
            raise IndexError(f"epoch {epoch} is negative")
        _check_step(k, self.steps_per_epoch)
        line = self._lines(epoch)
        block = np.arange(self.batch_size // self.lanes) + k * (self.batch_size // self.lanes)
        # A lane that ends early has a shorter row in a kept last batch.
        row, column = np.nonzero(block < line.lane_lengths[line.lane_order][:, None])
        blocks = max(1, self.lanes // self.mix_group)
        laid = np.lexsort((row, column, row * blocks // self.lanes))
        row, column = row[laid], column[laid]
        lane = line.lane_order[row]
        position = self._shuffled(epoch, line, lane, block[column]) + line.lane_starts[lane]
        at = np.searchsorted(line.shard_ends, position, side="right")
        shard = line.shard_order[at]
        index = position - line.shard_ends[at] + self.counts[shard]
        return Positions(shard, index, self._shard_starts[shard] + index, np.zeros_like(index))

    def __getstate__(self) -> dict[str, object]:
        """Return what travels to other processes: the caches do not."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _lines(self) -> "Callable[[int], _Line]":
        return lru_cache(maxsize=2)(partial(_line, self))

    @cached_property
    def _windows(self) -> Callable[[int, int], Int64]:
        # Neighbouring batches lie in one window, or across the border of two.
        return lru_cache(maxsize=2)(partial(_window, self))

    def _shuffled(self, epoch: int, line: "_Line", lane: Int64, position: Int64) -> Int64:
        """Tell where in its lane the shuffle takes the sample for each `position` from. All int64 [n]."""
        # Window w of a lane of m samples is [w * m // W, (w + 1) * m // W), W windows; this is its inverse.
        number = ((position + 1) * line.windows - 1) // line.lane_lengths[lane]
        within = position - number * line.lane_lengths[lane] // line.windows
        source = np.empty_like(position)
        for window in range(int(number.min()), int(number.max()) + 1):
            here = number == window
            source[here] = self._windows(epoch, window)[lane[here], within[here]]
        return source


@dataclass(frozen=True, eq=False)
class _Line:
    """An epoch's line of samples: which shards follow each other, and where the lanes are cut."""

    shard_order: Int64  # [shards] dataset number of each shard on the line
    shard_ends: Int64  # [shards] where each of them ends on the line
    lane_starts: Int64  # [lanes]
    lane_lengths: Int64  # [lanes]
    lane_order: Int64  # [lanes] in which the lanes lie in a batch
    windows: int  # of every lane


def _line(order: Order, epoch: int) -> _Line:
    shard_order = generator(order.seed, "shards", epoch).permutation(len(order.counts))
    cuts = np.arange(order.lanes + 1) * order.samples // order.lanes
    # Windows are equal to within one sample and none is longer than `shuffle_window`. Were they cut at its multiples,
    # the last one of a lane could be tiny, and the rest that is dropped would be drawn from the same few samples.
    longest = -(-order.samples // order.lanes)
    return _Line(
        shard_order=shard_order,
        shard_ends=np.cumsum(order.counts[shard_order]),
        lane_starts=cuts[:-1],
        lane_lengths=np.diff(cuts),
        lane_order=generator(order.seed, "lanes", epoch).permutation(order.lanes),
        windows=-(-longest // order.shuffle_window),
    )


def _window(order: Order, epoch: int, window: int) -> Int64:
    """Return window number `window` of every lane, shuffled: positions in the lane, int64
    [lanes, most samples in it].
    """
    line = order._lines(epoch)
    starts = window * line.lane_lengths // line.windows
    lengths = (window + 1) * line.lane_lengths // line.windows - starts
    shuffled = np.zeros((order.lanes, int(lengths.max())), np.int64)
    for lane, length in enumerate(lengths.tolist()):
        if length > 1:
            shuffled[lane, :length] = generator(order.seed, "window", epoch, lane, window).permutation(length)
    return shuffled + starts[:, None]


def rank_slice(n: int, group: int, rank: int, world: int) -> slice:
    """Return the part of a batch of `n` samples that `rank` of `world` takes: whole groups of `group` neighbours.

    There are G = ceil(n / group) groups, and rank r of R takes r*G//R ... (r+1)*G//R; the slice is empty when G < R
    leaves a rank without one.
    """
    if not 0 <= rank < world:
        raise ValueError(f"rank {rank} is not one of {world} ranks")
    if n < 0 or group < 1:
        raise ValueError(f"a batch of {n} samples cannot be cut into groups of {group}")
    groups = -(-n // group)
    return slice(rank * groups // world * group, min((rank + 1) * groups // world * group, n))


def _checked(counts: Int64, batch_size: int) -> Int64:
    checked = np.array(counts, np.int64)
    if checked.ndim != 1 or (checked < 0).any():
        raise ValueError(f"counts must be one row of numbers that are not negative, not {counts}")
    if batch_size < 1:
        raise ValueError(f"the batch size must be at least 1, not {batch_size}")
    checked.setflags(write=False)
    return checked


def _check_step(k: int, steps: int) -> None:
    if not 0 <= k < steps:
        raise IndexError(f"batch {k} does not exist: there are {steps}")
