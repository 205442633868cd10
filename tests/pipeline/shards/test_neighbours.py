"""Sorted samples are told from shuffled ones, whatever the classes' sizes."""

import numpy as np
import pytest

from pipeline.shards.neighbours import neighbour_excess


@pytest.mark.parametrize("sizes", [[500, 500], [900, 100], [10] * 100])
def test_sorted_and_shuffled(sizes: list[int]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    assert neighbour_excess([labels]) > 0.85
    assert neighbour_excess(np.split(labels, 10)) > 0.85
    shuffled = np.random.default_rng(0).permutation(labels)
    assert neighbour_excess([shuffled]) < 0.1
    assert neighbour_excess(np.split(shuffled, 10)) < 0.1


def test_a_class_a_tar_is_sorted() -> None:
    assert neighbour_excess([np.full(20, 0), np.full(20, 1)]) == 1.0


def test_too_little_to_tell() -> None:
    assert neighbour_excess([]) == neighbour_excess([np.array([3])]) == neighbour_excess([np.zeros(9, np.int64)]) == 0.0
