"""Priors: the published sum, their places and order by a loop, and what is clipped."""

from itertools import product

import pytest
import torch

from models.ops.priors import Priors

RATIOS = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
MAPS = [(side, side) for side in (38, 19, 10, 5, 3, 1)]
VOC = Priors((0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05), RATIOS, (8, 16, 32, 64, None, None))


def test_the_published_sum() -> None:
    """Of ssd.pytorch's 8732 priors of VOC as shares of the side."""
    boxes = VOC.boxes(MAPS, (300, 300))
    assert boxes.shape == (8732, 4)
    assert (boxes.double() / 300).sum().item() == pytest.approx(11906.5893, abs=1e-3)
    assert VOC.counts == [4, 6, 6, 6, 4, 4]


def test_torchvision_leaves_centres() -> None:
    """Of the 10 x 10 places, 32 px apart, the last is at 304 px."""
    assert VOC.boxes(MAPS, (300, 300))[:, :2].max() == 300
    free = Priors(VOC.scales, RATIOS, VOC.steps, "sizes").boxes(MAPS, (300, 300))
    assert free[:, :2].max() == 304
    assert free[:, 2:].max() == 300
    differ = (free != VOC.boxes(MAPS, (300, 300))).any(1)
    assert int(differ.sum()) == 19 * 6


def test_every_place_by_a_loop() -> None:
    priors = Priors((0.2, 0.45, 0.9), ((2, 3), ()), (10, None))
    height, width = 40, 60
    expected = []
    for k, (rows, columns) in enumerate([(4, 6), (2, 3)]):
        scale, then = priors.scales[k : k + 2]
        for i, j in product(range(rows), range(columns)):
            x, y = ((j + 0.5) * 10, (i + 0.5) * 10) if k == 0 else ((j + 0.5) * 60 / 3, (i + 0.5) * 40 / 2)
            sides = [(scale, scale), ((scale * then) ** 0.5, (scale * then) ** 0.5)]
            for ratio in priors.ratios[k]:
                sides += [(scale * ratio**0.5, scale / ratio**0.5), (scale / ratio**0.5, scale * ratio**0.5)]
            expected += [(x, y, min(w * 40, width), min(h * 40, height)) for w, h in sides]
    found = priors.boxes([(4, 6), (2, 3)], (height, width))
    torch.testing.assert_close(found, torch.tensor(expected))
    assert found.shape == (4 * 6 * 6 + 2 * 3 * 2, 4)
