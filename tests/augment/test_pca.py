"""AlexNet's colour shift."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.pca import EIGENVECTORS, PCAColor, add_colour, pca_shift


def test_the_axes_are_orthonormal() -> None:
    assert np.abs(EIGENVECTORS.T @ EIGENVECTORS - np.eye(3)).max() < 1e-4


def test_known_shifts() -> None:
    assert pca_shift(np.array([0.1, 0, 0])) == pytest.approx([-3.147, -3.221, -3.237], abs=1e-3)
    assert pca_shift(np.array([0, 1.0, 0])) == pytest.approx([3.448, -0.0216, -3.331], abs=1e-3)
    assert pca_shift(np.array([0, 0, 1.0])) == pytest.approx([0.46, -0.934, 0.4823], abs=1e-3)


@given(st.tuples(*[st.floats(-300, 300)] * 3))
def test_every_level_is_shifted_and_clipped(shift: tuple[float, float, float]) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, -1)
    result = add_colour(levels, np.array(shift))
    assert np.abs(result - np.clip(levels + np.array(shift), 0, 255)).max() <= 0.51


def test_one_draw_of_the_right_size() -> None:
    transform = PCAColor(std=0.1)
    transform.set_random_seed(0)
    shifts = np.array([transform.get_params()["shift"] for _ in range(3000)])
    # The variance along the first axis: (255 * 0.2175 * 0.1)^2
    assert (shifts @ EIGENVECTORS[:, 0]).std() == pytest.approx(255 * 0.02175, rel=0.05)
    frames = transform(images=np.full((3, 4, 4, 3), 128, np.uint8))["images"]
    assert (frames == frames[0, 0, 0]).all()
