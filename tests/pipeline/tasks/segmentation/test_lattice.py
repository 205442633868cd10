import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.tasks.segmentation.lattice import Lattice, _surrounding


def exact(positions: np.ndarray) -> np.ndarray:
    """The Gaussian kernel itself, [N, N]."""
    return np.exp(-((positions[:, None] - positions[None]) ** 2).sum(-1) / 2)


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_weights_and_keys_are_those_of_the_simplex_around_each_point(d: int) -> None:
    positions = np.random.default_rng(0).normal(0, 4, (500, d))
    weights, keys, factors = _surrounding(positions)
    assert weights.min() > -1e-12
    assert np.allclose(weights.sum(1), 1)
    # A key is linear in the coordinates, so that the weighted mean of the keys is the key of the point.
    design = np.concatenate([positions, np.ones((500, 1))], 1)
    _, residues, rank, _ = np.linalg.lstsq(design, (weights * (keys / factors.max())).sum(1), rcond=None)
    assert rank == d + 1
    assert residues[0] < 1e-12
    assert all(len(set(row)) == d + 1 for row in keys.tolist())


@pytest.mark.parametrize(("d", "spread"), [(1, 2.0), (2, 1.0), (3, 1.0), (5, 0.7)])
def test_it_is_near_the_exact_gaussian(d: int, spread: float) -> None:
    rng = np.random.default_rng(d)
    positions, values = rng.normal(0, spread, (1500, d)), rng.random((1500, 2)).astype(np.float32)
    kernel, lattice = exact(positions), Lattice(positions)
    found, expected = (
        mean / mean_of_ones
        for mean, mean_of_ones in (
            (lattice(values), lattice(np.ones((1500, 1), np.float32))),
            (kernel @ values, kernel.sum(1, keepdims=True)),
        )
    )
    assert np.abs(found - expected).mean() < 0.1 * np.abs(values - expected).mean()
    assert np.corrcoef(lattice(values)[:, 0], (kernel @ values)[:, 0])[0, 1] > 0.99


def test_points_far_from_each_other_do_not_meet() -> None:
    found = Lattice(np.array([[0.0, 0], [40, 0], [40, 0]]))(np.array([[1], [2], [4]], np.float32))
    alone, both = found[0, 0], found[1, 0]
    assert found[2, 0] == both
    assert both / alone == pytest.approx(6, rel=0.5)


def test_it_is_linear_and_sees_no_column_in_another() -> None:
    rng = np.random.default_rng(0)
    lattice, values = Lattice(rng.normal(0, 3, (200, 5))), rng.random((200, 3)).astype(np.float32)
    together = lattice(values)
    for k in range(3):
        assert np.allclose(lattice(values[:, k : k + 1])[:, 0], together[:, k], rtol=1e-5)
    assert np.allclose(lattice(2 * values), 2 * together, rtol=1e-5)


def test_positions_too_far_apart_are_refused() -> None:
    with pytest.raises(ZoetropeError, match=r"raise evaluate\.crf\.bi_xy_std"):
        Lattice(np.array([[0.0] * 5, [1e5] * 5]))
