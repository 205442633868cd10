"""The terms: known answers."""

import pytest
import torch

from pipeline.recipe.loss import TERMS as NAMES
from pipeline.tasks.restoration.losses import TERMS, distances
from pipeline.tasks.segmentation.losses import TERMS as MASK_TERMS


def test_a_recipe_knows_all_terms() -> None:
    assert {*NAMES["image"]} == TERMS.keys()
    assert {*NAMES["mask"]} == MASK_TERMS.keys()


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"l1": 1.0}, [0.1, 0.0]),
        ({"l2": 1.0}, [0.02, 0.0]),
        ({"charbonnier": 1.0}, [(0.2 + 1e-6 / 0.4 + 1e-3) / 2, 1e-3]),
        ({"l1": 0.5, "l2": 2.0}, [0.09, 0.0]),
    ],
)
def test_known_answers(terms: dict[str, float], expected: list[float]) -> None:
    """Half of a picture's values are off by 0.2, and none of the other's."""
    target = torch.full((2, 3, 4, 4), 0.5)
    image = target.clone()
    image[0, :, :2] += 0.2
    assert distances(terms, image, target).tolist() == pytest.approx(expected, rel=1e-4, abs=1e-7)
