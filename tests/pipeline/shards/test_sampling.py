"""Class-balanced and weighted sampling: known answers, and properties over many datasets, weights and epochs."""

from copy import copy
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.shards.order import Order
from pipeline.shards.sampling import Sampled, largest_remainder, one_class, samples_per_class

EXAMPLE = Sampled(
    Order(np.array([8]), batch_size=4, shuffle_window=100, seed=0),
    np.array([0, 1, 0, 1, 1, 0, 1, 1], np.int32),
    samples_per_class(8, [3, 5], None),
)


@st.composite
def datasets(draw: st.DrawFn) -> tuple[Sampled, list[Fraction] | None]:
    """Shards of any sizes, some empty; classes of any sizes, some empty; balanced or with weights, some of them 0."""
    counts = draw(st.lists(st.integers(0, 30), min_size=1, max_size=8).filter(any))
    classes = draw(st.integers(1, 6))
    labels = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=sum(counts), max_size=sum(counts))), np.int32)
    sizes = np.bincount(labels, minlength=classes).tolist()
    drawn = st.lists(st.fractions(0, 9, max_denominator=7), min_size=classes, max_size=classes)
    weighted = drawn.filter(lambda weights: any(w * n for w, n in zip(weights, sizes, strict=True)))
    weights = draw(st.none() | weighted)
    order = Order(
        np.array(counts),
        batch_size=draw(st.integers(1, 70)),
        shuffle_window=draw(st.integers(1, 40)),
        seed=draw(st.integers(0, 2**63)),
        mix_group=draw(st.integers(1, 9)),
        keep_last=draw(st.booleans()),
    )
    total = draw(st.integers(1, 200))
    return Sampled(order, labels, samples_per_class(total, sizes, weights)), weights


def all_repeats(sampled: Sampled, epoch: int) -> list[int]:
    return [n for shard in range(len(sampled.order.counts)) for n in sampled.repeats(epoch, shard).tolist()]


def test_the_example_of_the_docstring() -> None:
    assert [all_repeats(EXAMPLE, epoch) for epoch in (0, 1)] == [[1, 0, 1, 1, 1, 2, 1, 1], [1, 1, 2, 1, 1, 1, 1, 0]]


def test_known_answer_that_must_never_change() -> None:
    order = Order(np.array([100, 300, 50, 200, 350]), batch_size=8, shuffle_window=40, seed=1234)
    labels = np.array([i * i % 7 for i in range(1000)], np.int32)
    sampled = Sampled(order, labels, samples_per_class(2000, np.bincount(labels, minlength=7).tolist(), None))
    assert sampled.per_class.tolist() == [500, 500, 500, 0, 500, 0, 0]
    assert sampled.batch(2, 77).sample.tolist() == [693, 488, 821, 197, 312, 623, 949, 74]
    assert sampled.batch(2, 77).occurrence.tolist() == [0, 0, 0, 0, 0, 3, 0, 1]


@settings(deadline=None)
@given(datasets(), st.integers(0, 1000))
def test_each_sample_comes_floor_or_ceil_of_its_expected_count(
    made: tuple[Sampled, list[Fraction] | None], epoch: int
) -> None:
    sampled, weights = made
    total = int(sampled.per_class.sum())
    sizes = np.bincount(sampled.labels, minlength=len(sampled.per_class)).tolist()
    of_class = [Fraction(n > 0, max(n, 1)) for n in sizes] if weights is None else weights
    whole = sum((of_class[label] for label in sampled.labels), Fraction(0))
    repeats = all_repeats(sampled, epoch)
    assert sum(repeats) == total
    for label, count in zip(sampled.labels, repeats, strict=True):
        expected = total * of_class[label] / whole
        assert floor(expected) <= count <= ceil(expected)


@settings(deadline=None)
@given(datasets(), st.integers(0, 50), st.integers(1, 12))
def test_over_epochs_the_samples_of_a_class_take_turns(made: tuple[Sampled, object], first: int, epochs: int) -> None:
    sampled, _ = made
    seen = np.sum([all_repeats(sampled, epoch) for epoch in range(first, first + epochs)], axis=0)
    for label, number in enumerate(sampled.per_class):
        mine = seen[sampled.labels == label]
        if len(mine):
            assert mine.sum() == epochs * number
            assert mine.max() - mine.min() <= 1


@settings(deadline=None)
@given(datasets(), st.integers(0, 9))
def test_an_epoch_is_what_the_counts_say_and_occurrences_number_repeats(
    made: tuple[Sampled, object], epoch: int
) -> None:
    sampled = Sampled(replace(made[0].order, keep_last=True), made[0].labels, made[0].per_class)
    starts = np.cumsum(sampled.order.counts) - sampled.order.counts
    seen: list[tuple[int, int]] = []
    for k in range(sampled.steps_per_epoch):
        batch = sampled.batch(epoch, k)
        assert len(batch) == sampled.size(k)
        np.testing.assert_array_equal(starts[batch.shard] + batch.index, batch.sample)
        seen += zip(batch.sample.tolist(), batch.occurrence.tolist(), strict=True)
    repeats = all_repeats(sampled, epoch)
    assert sorted(seen) == [(sample, i) for sample, count in enumerate(repeats) for i in range(count)]


@settings(deadline=None)
@given(datasets(), st.integers(0, 5))
def test_a_batch_depends_on_nothing_but_its_arguments(made: tuple[Sampled, object], epoch: int) -> None:
    """So resuming is starting at k: a copy, whose caches are cold, gives the same backwards; and no rank is asked."""
    forwards = [made[0].batch(epoch, k).sample.tolist() for k in range(made[0].steps_per_epoch)]
    again = copy(made[0])
    assert [again.batch(epoch, k).sample.tolist() for k in reversed(range(again.steps_per_epoch))] == forwards[::-1]


def test_a_class_is_taken_from_all_over_the_dataset() -> None:
    """Of 10,000 samples of the frequent class an epoch takes 100, of each tenth of the dataset ten or so."""
    labels = np.zeros(10_100, np.int32)
    labels[::101] = 1
    sampled = Sampled(Order(np.full(10, 1010), 10, 10, 7), labels, samples_per_class(200, [10_000, 100], None))
    assert all(19 <= sampled.repeats(3, shard).sum() <= 21 for shard in range(10))
    assert sampled.repeats(3, 0)[labels[:1010] == 1].tolist() == [1] * 10


@pytest.mark.parametrize(
    ("total", "weights", "counts"),
    [
        (10, [1, 1, 1], [4, 3, 3]),
        (10, [Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)], [5, 3, 2]),
        (7, [0, 3, 1], [0, 5, 2]),
        (0, [1, 2], [0, 0]),
    ],
)
def test_largest_remainder(total: int, weights: list[Fraction], counts: list[int]) -> None:
    assert largest_remainder(total, weights).tolist() == counts


@pytest.mark.parametrize("weights", [[0, 0], [2, -1], []])
def test_weights_that_weigh_nothing(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="one must be positive"):
        largest_remainder(5, weights)


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="8 labels of 9 samples"):
        Sampled(Order(np.array([9]), 4, 4, 0), EXAMPLE.labels, EXAMPLE.per_class)
    with pytest.raises(ValueError, match="class 2 has no sample"):
        Sampled(EXAMPLE.order, EXAMPLE.labels, np.array([4, 4, 1]))
    with pytest.raises(IndexError, match="there are 2"):
        EXAMPLE.batch(0, 2)


def test_a_sample_counts_for_the_rarest_class_of_its_set() -> None:
    sets = ((0, 1), (0,), (), (0, 1, 2), (1, 2))
    assert one_class(sets, [9, 2, 2]).tolist() == [
        1,
        0,
        3,
        1,
        1,
    ]  # the first of equally rare ones; none: one class more
    assert one_class(np.array([2, 0, 1]), [9, 2, 2]).tolist() == [2, 0, 1]
