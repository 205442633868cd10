from itertools import product

import numpy as np
import pytest

from pipeline.decode.values import IGNORED
from pipeline.tasks.segmentation.boundary import boundary, boundary_f1

K = 3


def by_loops(answer: np.ndarray, mask: np.ndarray, k: int, theta: float) -> float | None:
    """F1 of a class; None where neither has a boundary."""
    height, width = mask.shape

    def outline(classes: np.ndarray) -> list[tuple[int, int]]:
        found = []
        for y, x in product(range(height), range(width)):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inside = [(i, j) for i, j in around if 0 <= i < height and 0 <= j < width]
            if classes[y, x] == k and any(classes[place] != k for place in inside):
                found.append((y, x))
        return found

    def share(places: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        near = [min(np.hypot(y - i, x - j) for i, j in others) < theta for y, x in places]
        return sum(near) / len(near)

    said, true = outline(np.where(mask == IGNORED, IGNORED, answer)), outline(mask)
    if not said and not true:
        return None
    if not said or not true:
        return 0.0
    precision, recall = share(said, true), share(true, said)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [(30, 24), (12, 140)])  # tolerances of 0.29 and 1.05 px
def test_f1_is_what_a_loop_over_boundary_pixels_says(seed: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    mask, answer = np.zeros((2, *size), np.uint8)
    for k in (1, 2):
        y, x = (int(rng.integers(0, edge - 8)) for edge in size)
        mask[y : y + 8, x : x + 9] = k
        answer[y + 1 : y + 8, x : x + int(rng.integers(7, 11))] = k
    mask[5:9, 5:20] = IGNORED
    f1 = boundary_f1(answer, mask, K)
    expected = [by_loops(answer, mask, k, 0.0075 * np.hypot(*size)) for k in range(K)]
    assert f1.tolist() == pytest.approx([np.nan if each is None else each for each in expected], nan_ok=True)


def test_the_boundary_of_a_square_is_its_outermost_pixels_but_at_the_edge_of_the_picture() -> None:
    region = np.zeros((5, 6), bool)
    region[1:4, 0:3] = True
    assert boundary(region).astype(int).tolist() == [
        [0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]


def test_known_answers() -> None:
    # The tolerance is 3 px: an outline 2 px off is met, one 4 px off is not.
    mask = np.zeros((240, 320), np.uint8)
    mask[:, :100] = 1
    for off, expected in ((0, 1.0), (2, 1.0), (3, 0.0), (4, 0.0)):
        answer = np.zeros_like(mask)
        answer[:, : 100 + off] = 1
        np.testing.assert_array_equal(boundary_f1(answer, mask, K), [expected, expected, np.nan])


def test_a_class_that_only_one_has_counts_with_0_and_a_picture_of_one_class_not_at_all() -> None:
    mask, answer = np.zeros((2, 20, 20), np.uint8)
    assert np.isnan(boundary_f1(answer, mask, K)).all()
    answer[5:9, 5:9] = 2
    np.testing.assert_array_equal(boundary_f1(answer, mask, K), [0, np.nan, 0])
    mask[:] = IGNORED
    assert np.isnan(boundary_f1(answer, mask, K)).all()
