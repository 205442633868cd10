"""Maps of joints and limbs, by hand."""

import math

import pytest
import torch

from pipeline.tasks.keypoints.maps import affinity_fields, heat_maps, known, losses


def test_a_joint_is_a_gaussian_and_the_background_is_what_is_left() -> None:
    keypoints = torch.tensor([[[[12.0, 4.0, 2.0], [0, 0, 0]], [[20.0, 4.0, 1.0], [4.0, 4.0, 2.0]]]])
    heat = heat_maps(keypoints, (2, 3), 8, 7.0)
    assert heat.shape == (1, 3, 2, 3)
    # Places lie at 4, 12 and 20 px; the first body's joint is on the second one, the other's on the third one.
    eight = math.exp(-(8**2) / (2 * 7**2))
    torch.testing.assert_close(heat[0, 0, 0], torch.tensor([eight, 1.0, 1.0]))  # a maximum, no sum
    torch.testing.assert_close(heat[0, 1, :, 0], torch.tensor([1.0, eight]))
    torch.testing.assert_close(heat[0, 2, 0], torch.tensor([0.0, 0.0, 0.0]))
    torch.testing.assert_close(heat[0, 2, 1, 2], torch.tensor(1 - eight))


def test_a_limb_is_a_unit_vector_near_its_line_and_crossing_ones_their_mean() -> None:
    across = [[4.0, 4.0, 2.0], [20.0, 4.0, 2.0]]
    down = [[12.0, 0.0, 2.0], [12.0, 16.0, 2.0]]
    fields = affinity_fields(torch.tensor([[across, down]]), [(0, 1)], (2, 3), 8, 2.0)
    assert fields.shape == (1, 2, 2, 3)
    torch.testing.assert_close(fields[0, :, 0, 0], torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(fields[0, :, 0, 1], torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(fields[0, :, 1, 1], torch.tensor([0.0, 1.0]))
    assert fields[0, :, 1, 0].abs().sum() == fields[0, :, 1, 2].abs().sum() == 0
    unlabelled = torch.tensor([[[[4.0, 4.0, 2.0], [0, 0, 0]]]])
    assert not affinity_fields(unlabelled, [(0, 1)], (2, 3), 8, 2.0).any()


def test_nothing_is_learned_where_nobody_labelled() -> None:
    """Half the squared error of both stages, but not where `unknown` has a cell; what does not count is no truth."""
    unknown = torch.zeros(1, 2, 3, dtype=torch.uint8)
    unknown[0, 1, 2] = 1
    assert known(unknown, (4, 6), 4)[0].tolist() == [[1.0] * 6] * 2 + [[1.0] * 4 + [0.0] * 2] * 2
    fields = {
        "keypoints": torch.tensor([[[[4.0, 4.0, 2.0]], [[20.0, 12.0, 2.0]]]]),
        "kind": torch.tensor([[0, 0]], dtype=torch.int16),
        "crowd": torch.tensor([[0, 1]], dtype=torch.uint8),
        "unknown": unknown,
    }
    right = heat_maps(fields["keypoints"][:, :1], (2, 3), 8, 1.0)
    out = {"heat": torch.stack([right, right + 1], 1)}
    out["heat"][:, :, :, 1, 2] = 100
    assert losses(out, fields, [], 8, 1.0, 1.0)["heat"].tolist() == pytest.approx([0.5 * 2 * 5])
    # One of the five places of the first map is the joint's; it counts 1 + 30 times.
    assert losses(out, fields, [], 8, 1.0, 1.0, 30)["heat"].tolist() == pytest.approx([0.5 * (2 * 5 + 30)])
