from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tasks.segmentation.border import border_weights


def by_loops(instances: np.ndarray) -> np.ndarray:
    """Distances of each background pixel to all pixels of all objects."""
    objects = [np.argwhere(instances == number) for number in np.unique(instances) if number]
    found = np.zeros(instances.shape)
    for y, x in product(*map(range, instances.shape)):
        if instances[y, x] == 0 and len(objects) > 1:
            d1, d2 = sorted(np.hypot(*(places - (y, x)).T).min() for places in objects)[:2]
            found[y, x] = 10 * np.exp(-((d1 + d2) ** 2) / (2 * 5**2))
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6))
def test_weights_are_those_of_a_loop_over_pixels(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    instances = np.zeros(rng.integers(1, 50, 2), np.uint16)
    for number in rng.permutation(65535)[:count] + 1:  # in any order, some over others or out of one piece
        y, x = (rng.integers(0, edge) for edge in instances.shape)
        instances[y : y + rng.integers(1, 6), x : x + rng.integers(1, 6)] = number
    weights = border_weights(instances)
    assert weights.dtype == np.float32
    assert weights.shape == instances.shape
    np.testing.assert_allclose(weights, by_loops(instances), atol=5e-6)


def test_known_weights() -> None:
    # 1 and 2 have three pixels between them: d1 + d2 is 4 at each.
    weights = border_weights(np.array([[0, 1, 0, 0, 0, 2]], np.uint16))
    between, left = 10 * np.exp(-(4**2) / 50), 10 * np.exp(-((1 + 5) ** 2) / 50)
    assert weights[0].tolist() == pytest.approx([left, 0, between, between, between, 0])


def test_one_object_alone_has_no_border_and_neither_has_what_is_far() -> None:
    instances = np.zeros((60, 130), np.uint16)
    instances[10:20, 10:20] = 7
    assert not border_weights(instances).any()
    instances[40:50, 100:110] = 9
    assert not border_weights(instances).any()  # 80 px apart
    assert not border_weights(np.zeros((4, 4), np.uint16)).any()
