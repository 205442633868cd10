"""Bodies out of maps: what is rendered is found again, and constants do what they say."""

import numpy as np
import pytest
import torch

from pipeline.recipe.bodies import BODIES
from pipeline.tasks.keypoints.assemble import Constants, assemble, enlarged, highest, limbs_of, peaks, tree
from pipeline.tasks.keypoints.maps import affinity_fields, heat_maps

COCO = BODIES["coco18"]
STANDING = np.array(
    [
        *([50, 12], [50, 30], [36, 30], [30, 52], [26, 74], [64, 30], [70, 52], [74, 74], [42, 80], [40, 112]),
        *([38, 144], [58, 80], [60, 112], [62, 144], [46, 8], [54, 8], [40, 12], [60, 12]),
    ],
    float,
)


def rendered(bodies: np.ndarray, size: tuple[int, int], stride: int = 8) -> tuple[np.ndarray, np.ndarray]:
    points = torch.from_numpy(np.concatenate([bodies, np.full((*bodies.shape[:2], 1), 2.0)], 2)[None]).float()
    heat = heat_maps(points, size, stride, 7.0)
    return heat[0].numpy(), affinity_fields(points, COCO.limbs, size, stride, 8.0)[0].numpy()


def test_two_bodies_that_overlap_are_told_apart() -> None:
    bodies = 2 * np.stack([STANDING, STANDING + np.array([38, 12])]) + 8
    heat, limbs = rendered(bodies, (45, 40))
    found, scores = assemble(heat, limbs, 8, 18, COCO.limbs, COCO.order)
    assert found.shape == (2, 18, 3)
    assert scores.tolist() == sorted(scores, reverse=True)
    assert scores.min() > 0.8
    found = found[np.argsort(found[:, 0, 0])]
    np.testing.assert_allclose(found[..., :2], bodies, atol=2.5)
    assert (found[..., 2] > 0.8).all()


def test_a_body_needs_joints_and_a_score() -> None:
    bodies = (2 * STANDING + 8)[None]
    heat, limbs = rendered(bodies, (40, 28))
    heat[[*range(5, 18)]] = 0  # five joints are left: nose, neck and an arm
    whole = (18, COCO.limbs, COCO.order)
    assert len(assemble(heat, limbs, 8, *whole)[0]) == 1
    assert (assemble(heat, limbs, 8, *whole)[0][0, 5:] == 0).all()
    assert not len(assemble(heat, limbs, 8, *whole, Constants(least_joints=6))[0])
    assert not len(assemble(heat, limbs, 8, *whole, Constants(least_score=2.0))[0])
    assert not len(assemble(heat, limbs, 8, *whole, Constants(limb=0.99))[0])
    assert not len(assemble(0 * heat, limbs, 8, *whole)[0])


def test_a_peak_lies_between_places() -> None:
    points = torch.tensor([[[[21.0, 30.5, 2.0]]]])
    heat = heat_maps(points, (8, 8), 8, 7.0)[0, :1].numpy()
    ((x, y, height),) = peaks(enlarged(heat)[0], 0.1, 8)
    assert (x, y) == (pytest.approx(21, abs=1), pytest.approx(30.5, abs=1))
    assert height == pytest.approx(1, abs=0.1)
    one, score = highest(heat, 1, 8)
    assert one[0, 0, :2] == pytest.approx([21, 30.5], abs=1)
    assert score == pytest.approx(one[0, 0, 2])


def test_joints_are_put_together_by_the_best_field_and_once() -> None:
    """Of joints at two heights, those on one line belong together; a limb longer than half the picture is worth
    less.
    """
    field = np.zeros((2, 8, 8))
    field[0, 2], field[0, 5] = 1.0, 0.6
    first, second = np.array([[8, 20, 1], [8, 44, 1]]), np.array([[24, 44, 1], [24, 20, 1.0]])
    found = limbs_of(field, first, second, 8, Constants())
    assert [(limb.first, limb.second) for limb in found] == [(0, 1), (1, 0)]
    assert [limb.score for limb in found] == pytest.approx([1.0, 0.6])
    (far,) = limbs_of(field, first[:1], np.array([[56, 20, 1.0]]), 8, Constants())
    assert far.score == pytest.approx(1.0 + 32 / 48 - 1)


def test_limbs_beyond_a_tree_make_no_bodies() -> None:
    """As in OpenPose's code, of whose limbs the last two in order, shoulders to ears, make none."""
    assert {*range(19)} - tree(COCO.limbs, COCO.order) == {COCO.order[17], COCO.order[18]} == {9, 13}
    assert [COCO.joints[joint] for joint in COCO.limbs[9]] == ["right_shoulder", "right_ear"]
