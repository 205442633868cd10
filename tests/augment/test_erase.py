"""Where the squares and rectangles lie, and what is painted."""

import random

import albumentations as A
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.erase import GREY, Cutout, RandomErasing, cutout_box, erasing_box
from augment.transforms import check, compose


def areas(side: int, size: int) -> list[int]:
    boxes = [cutout_box(y, x, side, size, size) for y in range(size) for x in range(size)]
    return [(bottom - top) * (right - left) for top, left, bottom, right in boxes]


def test_cutout_areas_over_all_places() -> None:
    found = areas(16, 32)
    assert (min(found), max(found), sum(found) / len(found)) == (64, 256, 196.0)
    assert max(areas(15, 32)) == 225, "an odd side keeps its last pixel"
    assert areas(1, 4) == [1] * 16


def test_cutout_box() -> None:
    assert cutout_box(10, 20, 8, 32, 32) == (6, 16, 14, 24)
    assert cutout_box(0, 31, 8, 32, 32) == (0, 27, 4, 32)
    assert cutout_box(10, 20, 0, 32, 32) == (10, 20, 10, 20)


def test_cutout_paints_in_a_clip_what_it_paints_in_an_image() -> None:
    clip = np.zeros((4, 32, 32, 3), np.uint8)
    result = compose([{"Cutout": {"size": 16, "fill": [9, 8, 7]}}])(clip, 1)
    painted = (result == (9, 8, 7)).all(-1)
    assert (painted == painted[0]).all()
    assert 64 <= painted[0].sum() <= 256
    assert (result[~painted] == 0).all()


def test_several_holes() -> None:
    one = Cutout(size=4, holes=1)
    many = Cutout(size=4, holes=30)
    black = np.zeros((32, 32, 3), np.uint8)
    assert (one(image=black)["image"] != 0).all(-1).sum() <= 16
    assert (many(image=black)["image"] != 0).all(-1).sum() > 100


def test_hidden_key_points_and_boxes_go() -> None:
    compose_all = A.Compose(
        [Cutout(size=64, p=1.0)],
        bbox_params=A.BboxParams(format="pascal_voc", label_fields=["names"], min_visibility=0.1),
        keypoint_params=A.KeypointParams(format="xy", remove_invisible=True),
    )
    black, mask = np.zeros((16, 16, 3), np.uint8), np.ones((16, 16), np.uint8)
    data = compose_all(
        image=black, mask=mask, bboxes=np.array([[2.0, 2, 8, 8]]), names=[1], keypoints=np.array([[5.0, 5]])
    )
    assert (data["image"] == GREY).all()
    assert (data["mask"] == 1).all()
    assert len(data["bboxes"]) == len(data["keypoints"]) == 0


def test_random_erasing_draws() -> None:
    rng = random.Random(1)
    boxes = [box for box in (erasing_box(rng, 224, 224, (0.02, 0.4), 0.3) for _ in range(6000)) if box]
    assert len(boxes) == 6000
    sizes = np.array([(bottom - top, right - left) for top, left, bottom, right in boxes])
    share = sizes.prod(1) / 224**2
    assert share.min() > 0.018
    assert share.max() < 0.41
    # P(aspect > 1) = (1/0.3 - 1) / (1/0.3 - 0.3) = 0.769, and the few too tall ones are drawn again
    assert (sizes[:, 0] > sizes[:, 1]).mean() == pytest.approx(0.76, abs=0.025)


@given(st.integers(1, 40), st.integers(1, 40), st.integers())
def test_rectangles_lie_inside(height: int, width: int, seed: int) -> None:
    box = erasing_box(random.Random(seed), height, width, (0.02, 1.0), 0.3)
    if box:
        top, left, bottom, right = box
        assert 0 <= top <= bottom <= height
        assert 0 <= left <= right <= width
        assert bottom - top < height
        assert right - left < width


def test_nothing_fits_into_one_pixel() -> None:
    assert erasing_box(random.Random(1), 1, 1, (0.9, 1.0), 1.0) is None
    assert RandomErasing(p=1.0)(image=np.zeros((1, 1, 3), np.uint8))["image"].tolist() == [[[0, 0, 0]]]


def test_noise_is_the_same_for_all_frames() -> None:
    clip = np.zeros((3, 40, 40, 3), np.uint8)
    result = compose([{"RandomErasing": {"fill": "random", "p": 1.0}}])(clip, 5)
    assert (result == result[0]).all()
    assert len(np.unique(result[0])) > 50


def test_faults() -> None:
    assert check([{"Cutout": {}}], "a") == ["a[0].Cutout: parameter 'size' is missing"]
    assert check([{"Cutout": {"size": 0}}], "a")[0].startswith(
        "a[0].Cutout: size: Input should be greater than or equal"
    )
    assert "must not be above" in check([{"RandomErasing": {"area": [0.4, 0.1]}}], "a")[0]
    assert check([{"RandomErasing": {"fill": "noise"}}], "a")
    assert check([{"RandomErasing": {"fill": [1, 2, 300]}}], "a")
