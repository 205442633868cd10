"""What becomes of bodies as their pictures are mirrored, cut and made smaller."""

from typing import Any

import numpy as np
import pytest

from augment.rides import Companions, Rides, View
from augment.transforms import compose
from pipeline.decode.limits import BadSample
from pipeline.decode.objects import CROWD, Objects
from pipeline.feed.ring import new_arrays
from pipeline.recipe.bodies import BODIES
from pipeline.tasks.detection.assign import UNLABELLED
from pipeline.tasks.keypoints.fields import EMPTY, layout, put, riding

BODY = BODIES["lsp14"]
STORED = 64, 96
LEFT, RIGHT, NECK = (BODY.joints.index(name) for name in ("left_wrist", "right_wrist", "neck"))


def objects(crowd: tuple[int, ...] = (0, 0, 1), outlines: Any = ()) -> Objects:
    """Of a picture twice as large as it is stored: a body with three joints, one without labels, and a crowd."""
    points = np.zeros((14, 3))
    points[LEFT], points[RIGHT], points[NECK] = (70, 30, 2), (20, 30, 1), (40, 10, 2)
    return Objects(
        np.array([[10, 5, 80, 60], [40, 40, 56, 56], [80, 0, 96, 16]], np.float32),
        np.zeros(3, np.int64),
        np.array(crowd, np.uint8),
        np.array([4000, 1000, 1000], np.float32),
        (192, 128),
        outlines,
        [points.ravel().tolist(), None, None],
    )


def moved(transform: dict[str, Any], of: Objects | None = None) -> tuple[dict[str, np.ndarray], View]:
    """The fields of that sample's view, and the view."""
    of = of or objects()
    points = riding(of, 14, STORED)
    view = compose([transform], Rides(frozenset({"keypoints", "frame"}))).view(
        np.zeros((*STORED, 3), np.uint8), Companions(keypoints=points), "key"
    )
    height, width = view.pixels.shape[:2]
    arrays = new_arrays({name: (dtype, (1, *shape)) for name, (dtype, shape) in layout(4, 14, height, width).items()})
    put(arrays, 0, of, view, STORED, BODY)
    return {name: array[0] for name, array in arrays.items()}, view


def test_a_mirror_swaps_left_and_right() -> None:
    fields, _ = moved({"HorizontalFlip": {"p": 1.0}})
    assert fields["keypoints"][0, LEFT].tolist() == [96 - 20, 30, 1]  # which was the right one
    assert fields["keypoints"][0, RIGHT].tolist() == [96 - 70, 30, 2]
    assert fields["keypoints"][0, NECK].tolist() == [96 - 40, 10, 2]
    assert fields["boxes"][0].tolist() == [16, 5, 86, 60]
    assert fields["unit"] == 2
    assert fields["kind"].tolist() == [0, 0, 0, EMPTY]
    assert fields["crowd"][:3].tolist() == [0, UNLABELLED, CROWD]
    assert fields["area"][:3].tolist() == [4000, 1000, 1000]
    turned, _ = moved({"Affine": {"rotate": [180, 180], "p": 1.0}})  # by half a turn nothing is mirrored
    assert turned["keypoints"][0, LEFT] == pytest.approx([26, 34, 2], abs=0.01)


def test_what_nobody_labelled_is_unknown_wherever_it_goes() -> None:
    fields, _ = moved({"HorizontalFlip": {"p": 1.0}})
    cells = np.argwhere(fields["unknown"])
    assert fields["unknown"].shape == (8, 12)
    # 40 to 56 px across, mirrored, of both; cells that a border touches count.
    assert {(row, column) for row, column in cells.tolist()} >= {(5, 5), (6, 6), (0, 0), (1, 1)}
    assert fields["unknown"][:, 8:].sum() == fields["unknown"][3, :].sum() == 0
    polygon = [[48, 48, 56, 48, 56, 56, 48, 56]]
    narrow, _ = moved({"NoOp": {}}, objects((0, 0, 0), [None, polygon, {"size": [128, 192], "counts": [128 * 192]}]))
    assert narrow["unknown"][:6, :5].sum() == 0
    assert narrow["unknown"][6, 6] == 1
    assert narrow["unknown"][:3].sum() == 0  # of run lengths of nothing


def test_joints_that_a_crop_leaves_out_are_not_there() -> None:
    fields, _ = moved({"Crop": {"x_min": 30, "y_min": 0, "x_max": 62, "y_max": 32}})
    assert fields["keypoints"][0, NECK].tolist() == [10, 10, 2]
    assert not fields["keypoints"][0, [LEFT, RIGHT]].any()
    assert fields["kind"].tolist() == [0, EMPTY, EMPTY, EMPTY]
    fields, _ = moved({"Crop": {"x_min": 30, "y_min": 32, "x_max": 62, "y_max": 64}})
    assert fields["crowd"][0] == UNLABELLED  # a body of which no joint is seen
    assert fields["kind"][:2].tolist() == [0, 0]


def test_another_body_is_refused() -> None:
    with pytest.raises(BadSample, match=r"it has 14 key points an object, and task.body has 17 joints"):
        riding(objects(), 17, STORED)
