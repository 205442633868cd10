"""Flow goes where its pixels go: known fields by hand, and the pixels of a picture as witnesses."""

import numpy as np
import pytest

from augment import flow
from augment.rides import Companions, Rides
from augment.transforms import compose
from pipeline.base.errors import ZoetropeError

# Two fields of 2 x 3 px: x counts upwards from 100, y from 50.
FIELDS = np.stack([np.arange(100, 112).reshape(2, 2, 3), np.arange(50, 62).reshape(2, 2, 3)], 1).astype(np.uint8)


def test_a_flip_mirrors_places_and_negates_x() -> None:
    moved = flow.move(FIELDS, np.array([[-1, 0, 3], [0, 1, 0]], np.float32), (2, 3))
    assert moved[0].tolist() == [[[153, 154, 155], [150, 151, 152]], [[52, 51, 50], [55, 54, 53]]]
    upside_down = flow.move(FIELDS, np.array([[1, 0, 0], [0, -1, 2]], np.float32), (2, 3))
    assert upside_down[0].tolist() == [[[103, 104, 105], [100, 101, 102]], [[202, 201, 200], [205, 204, 203]]]


def test_a_crop_moves_places_alone() -> None:
    moved = flow.move(FIELDS, np.array([[1, 0, -1], [0, 1, -1]], np.float32), (1, 2))
    assert moved.tolist() == [[[[104, 105]], [[54, 55]]], [[[110, 111]], [[60, 61]]]]


def test_padding_stands_still() -> None:
    moved = flow.move(FIELDS, np.array([[1, 0, 1], [0, 1, 0]], np.float32), (2, 5))
    assert moved[0, 0].tolist() == [[128, 100, 101, 102, 128], [128, 103, 104, 105, 128]]


def test_a_quarter_turn_turns_vectors() -> None:
    # (x, y) -> (2 - y, x): the picture turned clockwise; (vx, vy) -> (-vy, vx)
    moved = flow.move(FIELDS, np.array([[0, -1, 2], [1, 0, 0]], np.float32), (3, 2))
    assert moved[0, 0].tolist() == [[202, 205], [201, 204], [200, 203]]
    assert moved[0, 1].tolist() == [[103, 100], [104, 101], [105, 102]]


def test_enlarging_enlarges_vectors_and_clips() -> None:
    constant = np.full((1, 2, 4, 4), 137, np.uint8)  # 9.5 levels
    constant[:, 1] = 250
    moved = flow.move(constant, np.array([[2, 0, 0], [0, 2, 0]], np.float32), (8, 8))
    assert (moved[0, 0, 2:-2, 2:-2] == 146).all()  # 127.5 + 19 = 146.5, the half to the even one
    assert (moved[0, 1, 2:-2, 2:-2] == 255).all()


def test_stacks_are_x1_y1_x2_y2() -> None:
    clip = flow.stack(FIELDS, np.array([[0, 1], [1, 1]]))
    assert clip.shape == (2, 2, 3, 4)
    assert clip[0, 0, 0].tolist() == [100, 50, 106, 56]
    assert clip[1, 1, 2].tolist() == [111, 61, 111, 61]
    assert flow.mirrored(clip)[0, 0, 0].tolist() == [155, 50, 149, 56]


AFFINE = {"Affine": {"rotate": [20, 20], "scale": [0.9, 0.9], "translate_px": [3, 3], "p": 1.0}}
LISTS = (
    [{"RandomCrop": {"height": 40, "width": 40}}, {"HorizontalFlip": {"p": 1.0}}],
    [{"RandomResizedCrop": {"size": [40, 40]}}, {"GaussNoise": {"p": 1.0}}, {"VerticalFlip": {"p": 0.5}}],
    [AFFINE, {"CenterCrop": {"height": 40, "width": 40}}],
    [{"CoarseDropout": {"fill": "random", "p": 1.0}}, {"RandomCrop": {"height": 40, "width": 40}}, {"D4": {"p": 1.0}}],
    [{"RandAugment": {}}, {"RandomCrop": {"height": 40, "width": 40}}],
)


@pytest.mark.parametrize("spec", LISTS, ids=lambda spec: next(iter(spec[0])))
def test_the_frame_is_that_of_the_clips_pixels(spec: list[dict]) -> None:
    """A bright square is found where the frame says, though a clip's pixels and its flow are moved one by one."""
    clip = np.zeros((3, 60, 80, 3), np.uint8)
    clip[:, 22:38, 32:48] = 255
    augmentation = compose(spec, Rides(frozenset({"flow"})))
    for draw in range(6):
        view = augmentation.view(np.zeros((60, 80, 3), np.uint8), Companions(), "key", draw)
        made = augmentation(clip, "key", draw)
        assert made.shape[1:3] == view.pixels.shape[:2]
        assert view.frame is not None
        where = view.frame.astype(float) @ (40, 30, 1)
        inside = (4 < where[0] < 36) and (4 < where[1] < 36)
        if not inside or "RandAugment" in spec[0] or "CoarseDropout" in spec[0]:
            continue  # its colours may be anything, or it is painted over
        y, x = np.nonzero(made[0, ..., 0] > 128)
        whole = x.min() > 0 and x.max() < 39 and y.min() > 0 and y.max() < 39
        if whole:
            assert abs(x.mean() + 0.5 - where[0]) < 0.75
            assert abs(y.mean() + 0.5 - where[1]) < 0.75


def test_what_bends_is_refused() -> None:
    with pytest.raises(ZoetropeError, match="no frame says where vectors of flow lie"):
        compose([{"ElasticTransform": {}}], Rides(frozenset({"flow"})))
