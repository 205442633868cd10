"""Training and evaluation order: known answers, and properties over many datasets, batches and worlds."""

import pickle
import tracemalloc
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.shards import order as order_module
from pipeline.shards.order import Int64, Order, Positions, rank_slice

EXAMPLE = Order(np.array([6, 4, 7, 5]), batch_size=4, shuffle_window=3, seed=3, keep_last=True)
EXAMPLE_BATCHES = [[15, 5, 1, 18], [16, 10, 0, 9], [6, 11, 4, 17], [7, 14, 3, 19], [8, 13, 2, 21], [12, 20]]

orders = st.builds(
    Order,
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=12).map(lambda counts: np.array(counts, np.int64)),
    batch_size=st.integers(1, 150),
    shuffle_window=st.integers(1, 60),
    seed=st.integers(0, 2**63),
    mix_group=st.integers(1, 9),
    keep_last=st.booleans(),
)


def epoch_of(order: Order, epoch: int) -> list[int]:
    return [s for k in range(order.steps_per_epoch) for s in order.batch(epoch, k).sample.tolist()]


def positions_fit(positions: Positions, counts: Int64) -> None:
    starts = np.cumsum(counts) - counts
    assert positions.shard.dtype == positions.index.dtype == positions.sample.dtype == np.int64
    assert (positions.index >= 0).all()
    assert (positions.index < counts[positions.shard]).all()
    np.testing.assert_array_equal(starts[positions.shard] + positions.index, positions.sample)


def test_the_example_of_the_docstring() -> None:
    batches = [EXAMPLE.batch(0, k) for k in range(EXAMPLE.steps_per_epoch)]
    assert [batch.sample.tolist() for batch in batches] == EXAMPLE_BATCHES
    assert batches[0].shard.tolist() == [2, 0, 0, 3]
    assert batches[0].index.tolist() == [5, 5, 1, 1]
    # The drawing shows the same numbers, a row a lane and a column a batch.
    table = (order_module.__doc__ or "").split("k = 4    rest\n")[1].splitlines()[:4]
    drawn = [[int(number) for number in line.split()[2:]] for line in table]
    columns = [[batch[row] for batch in EXAMPLE_BATCHES[:5]] for row in range(4)]
    assert drawn == [columns[0], [*columns[1], 12], columns[2], [*columns[3], 20]]


def test_the_blocks_of_the_docstring() -> None:
    """Four lanes in two blocks, as drawn; that they lie so is `test_each_lane_gives_the_same_share_of_a_batch`."""
    rows = np.array([[15, 16], [5, 10], [1, 0], [18, 9]])
    drawn = (order_module.__doc__ or "").split("in blocks ")[-1].split("\n")[0]
    assert [int(word) for word in drawn.split() if word != "|"] == rows.reshape(2, 2, 2).swapaxes(1, 2).ravel().tolist()


def test_known_answer_that_must_never_change() -> None:
    """Runs resume by (epoch, k), so neither a release of ours nor one of numpy may change the order."""
    order = Order(np.array([100, 300, 50, 200, 350]), batch_size=8, shuffle_window=40, seed=1234)
    assert order.batch(2, 77).sample.tolist() == [737, 525, 857, 226, 355, 649, 971, 417]


@settings(deadline=None)
@example(Order(np.array([40, 40, 21]), batch_size=13, shuffle_window=8, seed=0), 3).via("a batch that is a prime")
@example(Order(np.array([40, 57]), batch_size=97, shuffle_window=8, seed=0), 3).via("one batch, of one lane")
@example(Order(np.array([5, 2]), batch_size=64, shuffle_window=8, seed=0), 3).via("fewer samples than a batch")
@example(Order(np.array([500]), batch_size=16, shuffle_window=8, seed=0), 3).via("one shard")
@example(Order(np.array([70, 90]), batch_size=64, shuffle_window=8, seed=0), 3).via("more lanes than shards")
@example(Order(np.array([0, 9, 0, 0, 30, 0]), batch_size=8, shuffle_window=8, seed=0), 3).via("shards without samples")
@given(orders, st.integers(0, 1000))
def test_every_sample_once_but_for_the_rest(order: Order, epoch: int) -> None:
    counts = order.counts
    total = int(counts.sum())
    seen = []
    for k in range(order.steps_per_epoch):
        batch = order.batch(epoch, k)
        positions_fit(batch, counts)
        last = order.keep_last and k == total // order.batch_size
        assert len(batch) == order.size(k) == (total % order.batch_size if last else order.batch_size)
        seen += batch.sample.tolist()
    assert len(set(seen)) == len(seen) == (total if order.keep_last else total - total % order.batch_size)
    assert set(seen) <= set(range(total))


@settings(deadline=None)
@given(orders, st.integers(0, 5))
def test_a_batch_depends_on_nothing_but_its_arguments(order: Order, epoch: int) -> None:
    """Asked for backwards, by a new object whose caches are cold, every batch is the same."""
    forwards = [order.batch(epoch, k).sample.tolist() for k in range(order.steps_per_epoch)]
    again = Order(order.counts, order.batch_size, order.shuffle_window, order.seed, order.mix_group, order.keep_last)
    backwards = [again.batch(epoch, k).sample.tolist() for k in reversed(range(order.steps_per_epoch))]
    assert backwards[::-1] == forwards


@settings(deadline=None)
@given(orders, st.integers(0, 5))
def test_each_lane_gives_the_same_share_of_a_batch(order: Order, epoch: int) -> None:
    """A lane is a run of the line whose bounds are those of `N * lane // lanes`; blocks of lanes follow each other."""
    share = order.batch_size // order.lanes
    lane_of = lanes_by_definition(order, epoch)
    lane_order = order_module.generator(order.seed, "lanes", epoch).permutation(order.lanes).tolist()
    blocks = max(1, order.lanes // order.mix_group)
    expected = [
        lane
        for block in range(blocks)
        for _ in range(share)
        for place, lane in enumerate(lane_order)
        if place * blocks // order.lanes == block
    ]
    for k in range(order.samples // order.batch_size):
        assert [lane_of[s] for s in order.batch(epoch, k).sample.tolist()] == expected


@settings(deadline=None)
@given(orders, st.integers(0, 5))
def test_a_mixing_group_has_as_many_lanes_as_it_can(order: Order, epoch: int) -> None:
    """Mixed samples come from different places, whatever g, b and the number of lanes are to each other."""
    lane_of = lanes_by_definition(order, epoch)
    for k in range(order.samples // order.batch_size):
        lanes = [lane_of[s] for s in order.batch(epoch, k).sample.tolist()]
        for start in range(0, len(lanes) - order.mix_group + 1, order.mix_group):
            assert len(set(lanes[start : start + order.mix_group])) == min(order.mix_group, order.lanes)


@settings(deadline=None)
@given(orders)
def test_unmixed_batches_lie_lane_after_lane(order: Order) -> None:
    """So a rank reads few lanes; and mixing changes where a sample lies in its batch, never the batch."""
    unmixed = replace(order, mix_group=1)
    share = order.batch_size // order.lanes
    lane_of = lanes_by_definition(order, 2)
    for k in range(order.samples // order.batch_size):
        samples = unmixed.batch(2, k).sample
        assert sorted(samples.tolist()) == sorted(order.batch(2, k).sample.tolist())
        assert all(len({lane_of[s] for s in row}) == 1 for row in samples.reshape(-1, share).tolist())


def lanes_by_definition(order: Order, epoch: int) -> dict[int, int]:
    """Sample -> lane, from the line as the definition says it, sample by sample."""
    shard_order = order_module.generator(order.seed, "shards", epoch).permutation(len(order.counts))
    starts = np.cumsum(order.counts) - order.counts
    line = [int(starts[shard]) + i for shard in shard_order for i in range(order.counts[shard])]
    total, lanes = order.samples, order.lanes
    return {line[p]: lane for lane in range(lanes) for p in range(total * lane // lanes, total * (lane + 1) // lanes)}


@settings(deadline=None)
@given(orders, st.integers(0, 5))
def test_no_sample_moves_farther_than_its_window(order: Order, epoch: int) -> None:
    """With the lanes taken apart again, step k of a lane holds a sample from less than a window away."""
    total = int(order.counts.sum())
    shard_order = order_module.generator(order.seed, "shards", epoch).permutation(len(order.counts))
    begins = np.empty_like(order.counts)
    begins[shard_order] = np.cumsum(order.counts[shard_order]) - order.counts[shard_order]
    share = order.batch_size // order.lanes
    lane_order = order_module.generator(order.seed, "lanes", epoch).permutation(order.lanes)
    order = replace(order, mix_group=1)
    for k in range(total // order.batch_size):
        batch = order.batch(epoch, k)
        on_line = (begins[batch.shard] + batch.index).reshape(order.lanes, share)
        in_lane = on_line - (total * lane_order // order.lanes)[:, None]
        assert (np.abs(in_lane - np.arange(k * share, (k + 1) * share)) < order.shuffle_window).all()


def test_a_window_is_shuffled_wholly() -> None:
    """One lane, one shard, 1,000 samples in windows of 250: each window holds its own samples in another order."""
    order = Order(np.array([1000]), batch_size=67, shuffle_window=250, seed=0, keep_last=True)
    assert order.lanes == 1
    samples = np.array(epoch_of(order, 0)).reshape(4, 250)
    for window, row in enumerate(samples):
        own = np.arange(250 * window, 250 * (window + 1))
        assert sorted(row.tolist()) == own.tolist()
        assert (row == own).sum() < 10  # a random permutation keeps one sample in its place on average


@pytest.mark.parametrize(
    ("batch_size", "lanes"),
    [(1, 1), (64, 64), (128, 64), (96, 48), (100, 50), (67, 1), (61, 61), (134, 2), (8192, 64)],
)
def test_lanes_are_the_largest_divisor_up_to_64(batch_size: int, lanes: int) -> None:
    assert Order(np.array([9]), batch_size, 1, 0).lanes == lanes


@pytest.mark.parametrize(
    ("counts", "batch_size", "keep_last", "steps"),
    [
        ([10], 5, False, 2),
        ([10], 4, False, 2),
        ([10], 4, True, 3),
        ([10], 11, False, 0),
        ([10], 11, True, 1),
        ([], 4, True, 0),
        ([0, 0], 1, True, 0),
    ],
)
def test_steps(counts: list[int], batch_size: int, keep_last: bool, steps: int) -> None:
    order = Order(np.array(counts, np.int64), batch_size, 8, 0, keep_last=keep_last)
    assert order.steps_per_epoch == steps
    for k in (-1, steps):
        with pytest.raises(IndexError, match=f"batch {k} does not exist"):
            order.batch(0, k)


def test_more_lanes_than_shards_and_than_samples() -> None:
    order = Order(np.array([5, 2]), batch_size=64, shuffle_window=100, seed=0, keep_last=True)
    assert order.lanes == 64
    assert sorted(order.batch(0, 0).sample.tolist()) == list(range(7))


def test_epochs_and_seeds_differ_and_drop_another_rest() -> None:
    """One shard, whose lanes would end with a window of one sample if windows were cut at multiples of 16."""
    order = Order(np.array([4 * 33 + 2]), batch_size=4, shuffle_window=16, seed=0)
    epochs = [epoch_of(order, epoch) for epoch in range(20)]
    assert len({tuple(samples) for samples in epochs}) == 20
    rests = {frozenset(range(134)) - frozenset(samples) for samples in epochs}
    assert len(rests) > 15
    other = Order(order.counts, 4, 16, seed=1)
    assert epoch_of(other, 0) != epochs[0]


def test_order_is_fair() -> None:
    """Over many epochs each sample is left out about equally often; 62 of 510 are left out of each."""
    order = Order(np.full(10, 51), batch_size=64, shuffle_window=64, seed=0)
    epochs = 300
    seen = np.bincount(np.concatenate([epoch_of(order, epoch) for epoch in range(epochs)]), minlength=510)
    expected = epochs * 448 / 510
    deviation = np.sqrt(epochs * 448 / 510 * 62 / 510)
    assert abs(seen - expected).max() < 5 * deviation


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(1, 12), st.integers(1, 40))
def test_ranks_share_a_batch_at_groups(n: int, group: int, world: int) -> None:
    slices = [rank_slice(n, group, rank, world) for rank in range(world)]
    assert [i for part in slices for i in range(n)[part]] == list(range(n))
    groups = -(-n // group)
    for part in slices:
        assert part.start % group == 0
        assert part.stop % group == 0 or part.stop == n
        own = -(-(part.stop - part.start) // group)
        assert own in (groups // world, -(-groups // world))


def test_rank_slices_known() -> None:
    assert [rank_slice(20, 8, rank, 2) for rank in range(2)] == [slice(0, 8), slice(8, 20)]
    assert [rank_slice(6, 8, rank, 3) for rank in range(3)] == [slice(0, 0), slice(0, 0), slice(0, 6)]
    assert EXAMPLE.rank_slice(5, 0, 2) == slice(0, 1)
    assert EXAMPLE.batch(0, 5)[EXAMPLE.rank_slice(5, 1, 2)].sample.tolist() == [20]


@settings(deadline=None)
@given(orders, st.integers(1, 9), st.data())
def test_every_world_sees_the_same_batch(order: Order, world: int, data: st.DataObject) -> None:
    if order.steps_per_epoch:
        k = data.draw(st.integers(0, order.steps_per_epoch - 1))
        whole = order.batch(1, k).sample
        parts = [order.batch(1, k)[order.rank_slice(k, rank, world)].sample for rank in range(world)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_billion_samples() -> None:
    """100,000 shards, 10^9 samples: nothing of that size is ever made, and the whole epoch can be reached."""
    order = Order(np.full(100_000, 10_000), batch_size=256, shuffle_window=2048, seed=0)
    assert order.steps_per_epoch == 3_906_250
    tracemalloc.start()
    batches = [order.batch(7, k) for k in (0, 1_953_125, 3_906_249)]
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 16e6  # five numbers a shard and two windows a lane are 6 MB
    for batch in batches:
        positions_fit(batch, order.counts)
        assert len(set(batch.shard.tolist())) >= 64
    held = order._lines(7)
    assert max(array.size for array in (held.shard_order, held.shard_ends, held.lane_starts)) == 100_000
    assert order._windows(7, 0).size <= 64 * 2048


@pytest.mark.parametrize(
    "wrong",
    [
        {"counts": np.array([3, -1])},
        {"counts": np.ones((2, 2))},
        {"batch_size": 0},
        {"shuffle_window": 0},
        {"mix_group": 0},
    ],
)
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    arguments = {"counts": np.array([8]), "batch_size": 2, "shuffle_window": 2, "seed": 0, **wrong}
    with pytest.raises(ValueError, match="must be"):
        Order(**arguments)


def test_an_order_travels_without_its_caches() -> None:
    order = Order(np.array([100, 300]), batch_size=8, shuffle_window=40, seed=5)
    batch, cold = order.batch(1, 2), len(pickle.dumps(Order(order.counts, 8, 40, 5)))
    assert len(pickle.dumps(order)) == cold
    np.testing.assert_array_equal(copy(order).batch(1, 2).sample, batch.sample)


def test_counts_are_copied_and_locked() -> None:
    counts = np.array([6, 4])
    order = Order(counts, 2, 4, 0)
    before = order.batch(0, 0).sample.tolist()
    counts[0] = 100
    assert order.batch(0, 0).sample.tolist() == before
    with pytest.raises(ValueError, match="read-only"):
        order.counts[0] = 1


@pytest.mark.parametrize(("rank", "world"), [(-1, 2), (2, 2), (0, 0)])
def test_wrong_rank(rank: int, world: int) -> None:
    with pytest.raises(ValueError, match="is not one of"):
        rank_slice(8, 2, rank, world)


def test_negative_epoch() -> None:
    with pytest.raises(IndexError, match="epoch -1"):
        EXAMPLE.batch(-1, 0)
