"""Masks in boxes against the formula of RoIAlign, which `test_roi_align` has."""

import pytest
import torch

from models.ops.roi_masks import roi_masks
from tests.models.ops.test_roi_align import BOXES, by_formula


@pytest.mark.parametrize("layers", [1, 2])
def test_is_roi_align_of_each_object(layers: int) -> None:
    drawn = torch.zeros(2, layers, 48, 64, dtype=torch.int16)
    drawn[0, 0, 5:30, 7:40], drawn[0, -1, 20:44, 30:60], drawn[1, 0, 0:48, 10:20] = 1, 2, 3
    boxes, numbers = torch.tensor([BOXES, BOXES[::-1]]), torch.tensor([[1, 2, 1, 9, 2], [3, 1, 3, 3, 3]])
    found = roi_masks(drawn, boxes, numbers, 4)
    assert found.shape == (2, 5, 4, 4)
    for i in range(2):
        for j, number in enumerate(numbers[i].tolist()):
            one = (drawn[i] == number).any(0).double()[None]
            right = by_formula(one, 1, [edge - 0.5 for edge in boxes[i, j].tolist()], 4, 2)[0]
            torch.testing.assert_close(found[i, j].double(), right, rtol=0, atol=1e-5)
    assert not found[0, 3].any()


def test_a_box_that_is_its_object_is_full() -> None:
    drawn = torch.zeros(1, 2, 32, 32, dtype=torch.int16)
    drawn[0, 1, 4:20, 8:28] = 5
    found = roi_masks(drawn, torch.tensor([[[8.0, 4, 28, 20], [0, 0, 8, 8]]]), torch.tensor([[5, 5]]), 28)
    assert found[0, 0].min() > 0.5
    assert found[0, 0, 1:-1, 1:-1].min() > 0.9999
    assert found[0, 1, :14, :14].max() == 0
