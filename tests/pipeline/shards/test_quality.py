"""The quality score: known answers, and what it says of our own order."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.shards.order import Order
from pipeline.shards.quality import WINDOWS, class_excess, sorted_warning, unevenness


def test_unevenness_known_answers() -> None:
    """Two classes of 50: a part of one class is (10 - 5)^2 + (0 - 5)^2 = 50 away, by chance it is 10/2 * 90/99."""
    assert unevenness(np.array([[0] * 10, [1] * 10]), [50, 50]) == pytest.approx(50 / (5 * 90 / 99))
    assert unevenness(np.array([[0] * 5 + [1] * 5]), [50, 50]) == pytest.approx(0)
    assert unevenness(np.array([[0] * 10, [0, 1] * 5]), [50, 50]) == pytest.approx(25 / (5 * 90 / 99))


@pytest.mark.parametrize("sizes", [(2, 2), (3, 1, 2), (1, 1, 1, 1), (5, 0, 2)])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_unevenness_of_all_possible_draws_is_one(sizes: tuple[int, ...], m: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    assert unevenness(np.array([*combinations(labels, m)]), sizes) == pytest.approx(1)


def test_class_excess_known_answers() -> None:
    """Two classes, two shards. Chance: of 8 samples, two are of one class 3 times of 7."""
    chance = 3 / 7
    by_class = [np.array([0, 0, 0, 0]), np.array([1, 1, 1, 1])]
    # Windows of 8 hold both shards, and half of their samples' partners are in the same shard.
    assert class_excess(by_class, (2, 4, 8)) == {2: pytest.approx(1), 4: pytest.approx(1), 8: pytest.approx(0.5)}
    halves = [np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])]
    assert class_excess(halves, (2, 4)) == {2: pytest.approx(1), 4: 0}  # in a shard 1/3 of the pairs, less than chance
    uneven = [np.array([0, 0, 0, 1]), np.array([1, 1, 1, 0])]
    assert class_excess(uneven, (4,)) == {4: pytest.approx((1 / 2 - chance) / (1 - chance))}


def test_class_excess_of_what_has_no_classes_to_mix() -> None:
    assert class_excess([], (4,)) == {4: 0}
    assert class_excess([np.array([3, 3, 3])], (4,)) == {4: 0}
    assert class_excess([np.array([0]), np.array([1])], (4,)) == {4: 0}


@pytest.mark.parametrize("batch_size", [64, 256, 1024])
@pytest.mark.parametrize("window", [256, 1024, 4096])
def test_class_excess_bounds_the_unevenness_of_batches(batch_size: int, window: int) -> None:
    """100 classes of 3,000 samples, sorted, in shards of 300; measured over an epoch."""
    labels = np.repeat(np.arange(100), 3000)
    counts = np.full(1000, 300)
    most = (batch_size // 64 - 1) * class_excess(np.split(labels, 1000), (window,))[window]
    order = Order(counts, batch_size, window, seed=0)
    batches = np.array([labels[order.batch(0, k).sample] for k in range(order.steps_per_epoch)])
    assert 0.9 + 0.5 * most < unevenness(batches, np.bincount(labels)) < 1.05 + most


@pytest.mark.parametrize("batch_size", [256, 1024])
def test_mixing_groups_of_sorted_shards_are_as_uniform_as_of_shuffled_ones(batch_size: int) -> None:
    labels = np.repeat(np.arange(100), 1000)
    counts = np.full(100, 1000)
    for mix_group, low, high in ((8, 0.9, 1.1), (1, 2.0, 9.0)):  # laid lane after lane they would be poor
        order = Order(counts, batch_size, 1024, seed=0, mix_group=mix_group)
        batches = np.array([labels[order.batch(0, k).sample] for k in range(order.steps_per_epoch)])
        assert low < unevenness(batches.reshape(-1, 8), np.bincount(labels)) < high


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=60), max_size=8), st.integers(1, 50))
def test_class_excess_is_between_none_and_all(shards: list[list[int]], window: int) -> None:
    assert 0 <= class_excess([np.array(shard) for shard in shards], (window,))[window] <= 1


def test_who_is_warned() -> None:
    rng = np.random.default_rng(0)
    by_class = np.repeat(np.arange(100), 1000)
    sorted_shards = class_excess(np.split(by_class, 10))
    shuffled = class_excess(np.split(rng.permutation(by_class), 10))
    for window in (1, *WINDOWS, 10**9):
        assert sorted_warning(shuffled, window) is None
    warning = sorted_warning(sorted_shards, 2048)
    assert warning is not None
    assert warning.startswith("train.shuffle_window: these shards are sorted by class")
    assert warning.endswith("raise it to 16384")
    assert sorted_warning(sorted_shards, 16384) is None
    assert "write shards anew" in (sorted_warning({256: 1.0, 1024: 0.9}, 2048) or "")
