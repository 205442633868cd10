from typing import Any

import numpy as np
import pytest

from benchmarks.crf import exact, scene
from pipeline.recipe.evaluate import Crf
from pipeline.tasks.segmentation.crf import refine

FIRST = np.array([[0.9, 0.6, 0.3, 0.4, 0.1], [0.8, 0.2, 0.6, 0.3, 0.2], [0.7, 0.7, 0.4, 0.6, 0]])
PROBABILITIES = np.stack([FIRST, 1 - FIRST])
Y, X, C = np.mgrid[:3, :5, :3]
PIXELS = (np.where(X < 3, 60, 200) + 2 * Y + 10 * C).astype(np.uint8)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"iterations": 1},
            [
                [0.980552, 0.818435, 0.352260, 0.031967, 0.003949],
                [0.955544, 0.417632, 0.654877, 0.019294, 0.007745],
                [0.909518, 0.864332, 0.486298, 0.099061, 0.000000],
            ],
        ),
        (
            {"pos_w": 0.5, "pos_xy_std": 1.5, "bi_w": 0.5, "bi_xy_std": 20, "bi_rgb_std": 8},
            [
                [0.918724, 0.634149, 0.306285, 0.294948, 0.061214],
                [0.835426, 0.225170, 0.608364, 0.206377, 0.123428],
                [0.745474, 0.730086, 0.407071, 0.485343, 0.000006],
            ],
        ),
    ],
)
def test_it_answers_as_pydensecrf(options: dict[str, Any], expected: list[list[float]]) -> None:
    """The numbers are those of pydensecrf 1.0rc3, with the unary energy -log(max(p, 1e-5))."""
    found = refine(PROBABILITIES, PIXELS, Crf(**options))
    assert found.dtype == np.float32
    assert np.abs(found[0] - expected).max() < 2e-6
    assert np.abs(found[1] - 1 + expected).max() < 2e-6


@pytest.mark.parametrize("changes", [{}, {"bi_xy_std": 20, "bi_rgb_std": 10}, {"pos_xy_std": 3}, {"bi_w": 0}])
@pytest.mark.parametrize("noise", [1, 4])
def test_it_is_near_mean_field_with_all_pairs_of_pixels(noise: float, changes: dict[str, Any]) -> None:
    probabilities, pixels = scene(24, 32, 3, noise)
    found, expected = (call(probabilities, pixels, Crf(**changes)) for call in (refine, exact))
    assert np.abs(found - expected).mean() < 5e-3
    assert (found.argmax(0) == expected.argmax(0)).mean() > 0.995
    assert np.abs(expected - probabilities).mean() > 0.1


def test_borders_are_drawn_along_those_of_the_picture() -> None:
    probabilities, pixels = scene(48, 64, 3, 1)
    label = np.select([pixels[..., 0] > 140, pixels[..., 2] > 150], [1, 2], 0)
    assert (probabilities.argmax(0) == label).mean() < 0.9
    assert (refine(probabilities, pixels, Crf()).argmax(0) == label).mean() > 0.99


def test_without_weights_nothing_changes() -> None:
    probabilities, pixels = scene(24, 32, 3, 4)
    assert np.allclose(refine(probabilities, pixels, Crf(pos_w=0, bi_w=0)), probabilities, atol=1e-5)


@pytest.mark.parametrize("colour", [0, 127, 255])
def test_in_a_constant_picture_the_commonest_class_wins_by_place_alone(colour: int) -> None:
    probabilities, pixels = scene(24, 32, 3, 4)
    pixels[:] = colour
    found, expected = refine(probabilities, pixels, Crf()), exact(probabilities, pixels, Crf())
    assert np.abs(found - expected).mean() < 5e-3
    assert (found.argmax(0) == expected.argmax(0)).mean() > 0.995
    assert (found.argmax(0) == 0).sum() > (refine(probabilities, pixels, Crf(bi_w=0)).argmax(0) == 0).sum()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (5, 6)])
def test_one_class_is_certain_at_every_size(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    assert (refine(np.full((1, *size), 0.3), pixels, Crf()) == 1).all()
    two = refine(np.full((2, *size), 0.5), pixels, Crf())
    assert np.allclose(two, 0.5)


def test_what_the_network_rules_out_stays_finite() -> None:
    probabilities = np.zeros((2, 4, 4))
    probabilities[0] = 1
    found = refine(probabilities, np.zeros((4, 4, 3), np.uint8), Crf())
    assert np.isfinite(found).all()
    assert (found[0] > 0.99999).all()
