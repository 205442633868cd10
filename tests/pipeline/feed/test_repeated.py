"""Repeated augmentation keeps the laws of the order below it."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.repeated import Repeated
from pipeline.feed.ring import new_arrays
from pipeline.shards.dataset import Dataset
from pipeline.shards.order import Order


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.integers(1, 8),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 3),
)
def test_an_epoch_has_every_sample_so_often_each_a_time_of_its_own(
    counts: list[int], distinct: int, times: int, keep_last: bool, epoch: int
) -> None:
    order = Order(np.array(counts), distinct, 7, seed=3, keep_last=keep_last)
    repeated = Repeated(order, times)
    assert repeated.steps_per_epoch == order.steps_per_epoch
    seen: Counter[tuple[int, int]] = Counter()
    for k in range(repeated.steps_per_epoch):
        once, batch = order.batch(epoch, k), repeated.batch(epoch, k)
        assert batch.sample.tolist() == once.sample.tolist() * times
        assert batch.shard.tolist() == once.shard.tolist() * times
        assert batch.index.tolist() == once.index.tolist() * times
        seen.update(zip(batch.sample.tolist(), batch.occurrence.tolist(), strict=True))
    assert set(seen.values()) <= {1}
    if keep_last:
        assert set(seen) == {(sample, i) for sample in range(sum(counts)) for i in range(times)}
    with pytest.raises(IndexError):
        repeated.batch(epoch, repeated.steps_per_epoch)


def test_a_known_batch() -> None:
    order = Order(np.array([5]), 2, 5, seed=0)
    a, b = order.batch(0, 1).sample.tolist()
    batch = Repeated(order, 3).batch(0, 1)
    assert batch.sample.tolist() == [a, b, a, b, a, b]
    assert batch.occurrence.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("modality", ["image", "video"])
def test_copies_are_augmented_apart_and_ranks_share_them(
    make_recipe: Any, request: pytest.FixtureRequest, modality: str
) -> None:
    dataset: Dataset = request.getfixturevalue(modality + "s")

    def made(recipe: Any, rank: int = 0, world: int = 1) -> dict[str, np.ndarray]:
        source = BatchSource(recipe, dataset, "train", rank, world, training=True)
        arrays = new_arrays(source.layout())
        count, samples = BatchMaker(source).make(1, 0, arrays)
        assert samples == 8
        return {name: array[:count] for name, array in arrays.items()}

    recipe = make_recipe(modality, **{"train.repeats": 2})
    assert BatchSource(recipe, dataset, "train", training=True).steps == 26 // 4
    whole = made(recipe)
    assert whole["sample"][:4].tolist() == whole["sample"][4:].tolist()
    assert len(set(whole["sample"][:4].tolist())) == 4
    assert any(not np.array_equal(a, b) for a, b in zip(whole["pixels"][:4], whole["pixels"][4:], strict=True))
    # The first copies are what they would be without any other.
    once = make_recipe(modality, **{"train.batch_size": 4})
    source = BatchSource(once, dataset, "train", training=True)
    arrays = new_arrays(source.layout())
    BatchMaker(source).make(1, 0, arrays)
    assert np.array_equal(arrays["pixels"], whole["pixels"][:4])
    for world in (2, 3):
        parts = [made(recipe, rank, world) for rank in range(world)]
        for name in ("pixels", "label", "sample"):
            assert np.array_equal(np.concatenate([part[name] for part in parts]), whole[name])
