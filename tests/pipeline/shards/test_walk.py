import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.shards.walk import Walk
from tests.pipeline.shards.test_order import positions_fit

counts = st.lists(st.integers(0, 40), min_size=1, max_size=10)


def batches(walk: Walk) -> list[list[int]]:
    """The samples of each batch."""
    found = []
    for k in range(walk.steps):
        positions = walk.batch(k)
        positions_fit(positions, walk.counts)
        found.append(positions.sample.tolist())
    for k in (-1, walk.steps):
        with pytest.raises(IndexError):
            walk.batch(k)
    return found


@given(counts, st.integers(1, 70))
def test_samples_of_one_size_come_in_dataset_order(counts: list[int], batch_size: int) -> None:
    found = batches(Walk(np.array(counts, np.int64), batch_size, ((4, 4),)))
    assert [sample for batch in found for sample in batch] == list(range(sum(counts)))
    assert all(len(batch) == batch_size for batch in found[:-1])


@given(counts, st.integers(1, 70), st.data())
def test_a_batch_has_one_size_and_every_sample_comes_once(
    counts: list[int], batch_size: int, data: st.DataObject
) -> None:
    sizes = ((2, 9), (3, 3), (5, 5))
    of = np.array([data.draw(st.integers(0, 2)) for _ in range(sum(counts))], np.int64)
    walk = Walk(np.array(counts, np.int64), batch_size, sizes, of)
    found = batches(walk)
    walked = [sample for batch in found for sample in batch]
    assert walked == sorted(range(sum(counts)), key=lambda sample: (of[sample], sample))
    for k, batch in enumerate(found):
        assert {sizes[of[sample]] for sample in batch} == {walk.size(k)}
        assert len(batch) == batch_size or k + 1 == len(found) or walk.size(k + 1) != walk.size(k)
    assert walk.largest == (5, 5)


def test_a_known_walk() -> None:
    walk = Walk(np.array([2, 4]), 2, ((1, 9), (4, 4)), np.array([1, 0, 1, 1, 0, 0]))
    assert batches(walk) == [[1, 4], [5], [0, 2], [3]]
    assert [walk.size(k) for k in range(4)] == [(1, 9), (1, 9), (4, 4), (4, 4)]
    assert walk.batch(1).shard.tolist() == [1]
    assert walk.batch(1).index.tolist() == [3]
