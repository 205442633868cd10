"""Mixtures: known answers, and properties over many sources, shares and batches."""

from copy import copy
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.keyed import seed64
from pipeline.shards import mixture as mixture_module
from pipeline.shards.mixture import LONGEST, ROW, Mixture, parts, schedule
from pipeline.shards.order import Order

EXAMPLE = Mixture(Order(np.array([5, 3]), batch_size=4, shuffle_window=9, seed=0), np.array([0, 1]), (3, 1), 12)


@st.composite
def mixtures(draw: st.DrawFn) -> Mixture:
    """One to four sources whose shards lie in any order, some of them empty."""
    count = draw(st.integers(1, 4))
    more = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, 40)), max_size=8))
    shards = draw(st.permutations([*((d, draw(st.integers(1, 90))) for d in range(count)), *more]))
    order = Order(
        np.array([samples for _, samples in shards]),
        batch_size=draw(st.integers(1, 150)),
        shuffle_window=draw(st.integers(1, 40)),
        seed=draw(st.integers(0, 2**63)),
        mix_group=draw(st.integers(1, 9)),
        keep_last=draw(st.booleans()),
    )
    counts = tuple(parts([Fraction(draw(st.integers(1, 12))) for _ in range(count)]))
    return Mixture(order, np.array([d for d, _ in shards]), counts, draw(st.integers(1, 400)))


def test_the_example_of_the_docstring() -> None:
    batches = [EXAMPLE.batch(0, k) for k in range(3)]
    drawn = (mixture_module.__doc__ or "").split("    sample ")[1].split("\n")[0].replace("|", "").split()
    starts = {0: 0, 1: 5}
    inside = [s - starts[d] for b in batches for s, d in zip(b.sample.tolist(), b.shard.tolist(), strict=True)]
    assert [int(number) for number in drawn] == inside
    assert [d for b in batches for d in b.shard.tolist()] == [0, 0, 1, 0] * 3
    assert [n for b in batches for n in b.occurrence.tolist()] == [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1]


def test_known_answer_that_must_never_change() -> None:
    order = Order(np.array([100, 300, 50, 200, 350]), batch_size=8, shuffle_window=40, seed=1234)
    mixture = Mixture(order, np.array([0, 1, 0, 0, 1]), (2, 1), 1000)
    assert mixture.batch(2, 77).sample.tolist() == [440, 883, 44, 556, 759, 470, 24, 120]
    assert schedule((5, 3, 2)).tolist() == [0, 1, 0, 2, 0, 1, 0, 2, 1, 0]


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=7))
def test_a_source_is_never_a_whole_sample_off_its_share(counts: list[int]) -> None:
    owner = schedule(counts)
    assert np.bincount(owner).tolist() == counts
    had = np.cumsum(owner[:, None] == np.arange(len(counts)), axis=0)
    for p, row in enumerate(had.tolist(), 1):
        for n, count in zip(row, counts, strict=True):
            assert abs(Fraction(p * count, sum(counts)) - n) <= 1 - Fraction(1, max(2 * len(counts) - 2, 1))


@settings(deadline=None, max_examples=40)
@given(mixtures(), st.integers(0, 3))
def test_every_source_walks_its_own_endless_order(mixture: Mixture, epoch: int) -> None:
    """The k-th sample of a source in the sequence is the k-th of its epochs laid end to end, by the definition."""
    size, steps = mixture.order.batch_size, mixture.steps_per_epoch
    owner = schedule(mixture.counts)
    starts = np.cumsum(mixture.order.counts) - mixture.order.counts
    for d in range(len(mixture.counts)):
        shards = np.flatnonzero(mixture.sources == d)
        counts, seed = mixture.order.counts[shards], seed64(mixture.order.seed, "source", d)
        own = Order(counts, ROW, mixture.order.shuffle_window, seed, keep_last=True)
        needed = int((owner[np.arange((epoch + 1) * steps * size) % len(owner)] == d).sum())
        walk = [
            (int(starts[shards[shard]]) + index, e)
            for e in range(needed // own.samples + 1)
            for k in range(own.steps_per_epoch)
            for shard, index in zip(own.batch(e, k).shard.tolist(), own.batch(e, k).index.tolist(), strict=True)
        ]
        had = int((owner[np.arange(epoch * steps * size) % len(owner)] == d).sum())
        seen: list[tuple[int, int]] = []
        for k in range(steps):
            batch = mixture.batch(epoch, k)
            here = mixture.sources[batch.shard] == d
            seen += zip(batch.sample[here].tolist(), batch.occurrence[here].tolist(), strict=True)
            np.testing.assert_array_equal(starts[batch.shard] + batch.index, batch.sample)
        assert seen == walk[had : had + len(seen)]
        assert len(set(seen)) == len(seen)  # so each time that a sample comes it has randomness of its own


@settings(deadline=None)
@given(mixtures(), st.integers(0, 5))
def test_a_batch_depends_on_nothing_but_its_arguments(mixture: Mixture, epoch: int) -> None:
    """So resuming is starting at k: a copy, whose caches are cold, gives the same backwards; and no rank is asked."""
    forwards = [mixture.batch(epoch, k).sample.tolist() for k in range(mixture.steps_per_epoch)]
    again = copy(mixture)
    assert [again.batch(epoch, k).sample.tolist() for k in reversed(range(again.steps_per_epoch))] == forwards[::-1]
    assert all(len(samples) == mixture.size(k) == mixture.order.batch_size for k, samples in enumerate(forwards))


@settings(deadline=None)
@given(mixtures())
def test_a_batch_has_its_share_of_each_source(mixture: Mixture) -> None:
    for k in range(min(mixture.steps_per_epoch, 5)):
        had = np.bincount(mixture.sources[mixture.batch(2, k).shard], minlength=len(mixture.counts))
        for n, count in zip(had.tolist(), mixture.counts, strict=True):
            assert abs(n - mixture.order.batch_size * count / sum(mixture.counts)) < 2


@pytest.mark.parametrize(
    ("shares", "whole"),
    [
        (["0.7", "0.3"], [7, 3]),
        (["1", "1", "1"], [1, 1, 1]),
        (["4"], [1]),
        (["1/3", "1/6"], [2, 1]),
        (["0.123457", "0.7771"], [1371, 8629]),
        (["1e-9", "1"], [1, LONGEST]),
    ],
)
def test_parts(shares: list[str], whole: list[int]) -> None:
    assert parts([Fraction(share) for share in shares]) == whole


def test_what_does_not_fit() -> None:
    for shares in ([], [Fraction(1), Fraction(0)]):
        with pytest.raises(ValueError, match="must be positive"):
            parts(shares)
    with pytest.raises(ValueError, match="1 sources of 2 shards"):
        Mixture(EXAMPLE.order, np.array([0]), (3, 1), 12)
    for sources, counts in (([0, 0], (3, 1)), ([0, 1], (1,))):
        with pytest.raises(ValueError, match="samples of each source"):
            Mixture(EXAMPLE.order, np.array(sources), counts, 12)
    for epoch, k in ((0, 3), (0, -1), (-1, 0)):
        with pytest.raises(IndexError, match="there are 3 in each"):
            EXAMPLE.batch(epoch, k)
