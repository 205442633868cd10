"""Boxes moved once, by the frame, are those that albumentations moves transform by transform."""

from typing import Any

import albumentations as A
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from augment.boxes_at_end import LEAST_PX, may_wait, move
from augment.build import build_list
from augment.rides import Companions, Rides, View
from augment.transforms import compose
from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import generator

RIDES = Rides(frozenset({"boxes"}))
Spec = list[dict[str, Any]]

KEEP: Spec = [
    *({name: {"p": 0.5}} for name in ("HorizontalFlip", "VerticalFlip", "Transpose", "RandomRotate90", "D4")),
    *({"SquareSymmetry": {}}, {"NoOp": {}}, {"ToGray": {"p": 0.5}}, {"RandomScale": {"scale_limit": 0.4}}),
    *({"Resize": {"height": 57, "width": 44}}, {"LongestMaxSize": {"max_size": 71}}),
    {"SmallestMaxSize": {"max_size": 33}},
    {"OneOf": {"transforms": [{"VerticalFlip": {}}, {"Resize": {"height": 40, "width": 61}}]}},
]
PAD: Spec = [
    {"Pad": {"padding": [3, 4, 5, 6]}},
    {"PadIfNeeded": {"min_height": 64, "min_width": 80, "position": "random"}},
    {"SomeOf": {"n": 1, "transforms": [{"Pad": {"padding": 9}}, {"Transpose": {}}]}},
]
CUT: Spec = [
    {"RandomCrop": {"height": 20, "width": 24}},
    {"CenterCrop": {"height": 18, "width": 15}},
    {"Crop": {"x_min": 4, "y_min": 2, "x_max": 25, "y_max": 23}},
    {"RandomCropFromBorders": {"crop_left": 0.3, "crop_right": 0.2, "crop_top": 0.1, "crop_bottom": 0.4}},
    {"RandomSizedCrop": {"min_max_height": [10, 19], "size": [40, 31]}},
    {"RandomResizedCrop": {"size": [36, 50]}},
    {"RandomOrder": {"n": 2, "transforms": [{"D4": {}}, {"RandomResizedCrop": {"size": [30, 30]}}]}},
]
LARGE_CROP: Spec = [{"RandomCrop": {"height": 70, "width": 90, "pad_if_needed": True}}]


def built(spec: Spec) -> list[Any]:
    errors: list[str] = []
    transforms = build_list(spec, "a", errors, RIDES)
    assert not errors
    return transforms


def some(specs: Spec) -> st.SearchStrategy[Spec]:
    return st.lists(st.sampled_from(specs), max_size=3)


def seen(spec: Spec, boxes: np.ndarray, pixels: np.ndarray, draw: int, by_steps: bool) -> View:
    with pytest.MonkeyPatch.context() as patch:
        if by_steps:
            patch.setattr("augment.augmentation.may_wait", lambda transforms: False)
        return compose(spec, RIDES).view(pixels, Companions(boxes=boxes), "boxes at end", draw)


def by_number(view: View) -> dict[int, list[float]]:
    assert view.boxes is not None
    assert view.numbers is not None
    return dict(zip(view.numbers.tolist(), view.boxes.tolist(), strict=True))


corner = st.tuples(st.integers(-10, 80), st.integers(-10, 60))
side = st.one_of(st.integers(1, 60).map(float), st.floats(0.5, 60))
boxes_of = st.lists(
    st.tuples(corner, side, side).map(lambda b: [*b[0], b[0][0] + b[1], b[0][1] + b[2]]), max_size=6
).map(lambda found: np.array(found, np.float32).reshape(-1, 4))


@given(some(KEEP + PAD), some(KEEP + CUT), st.booleans(), boxes_of, st.integers(40, 70), st.integers(0, 1000))
def test_boxes_are_those_of_albumentations(
    first: Spec, then: Spec, large: bool, boxes: np.ndarray, width: int, draw: int
) -> None:
    spec = first + LARGE_CROP * large + then
    assert may_wait(built(spec))
    pixels = generator("boxes at end", width).integers(0, 256, (50, width, 3), np.uint8)
    try:
        once, by_steps = (seen(spec, boxes, pixels, draw, way) for way in (False, True))
    except ZoetropeError:
        assume(False)  # a crop that is larger than what the last one left
    assert np.array_equal(once.pixels, by_steps.pixels)
    assert once.frame is not None
    assert by_steps.frame is not None
    assert np.array_equal(once.frame, by_steps.frame)
    kept, stepped = by_number(once), by_number(by_steps)
    for number, box in (stepped | kept).items():
        if number in kept and number in stepped:
            assert box == pytest.approx(stepped[number], abs=LEAST_PX)
        else:  # what rounding leaves of a box that ends where a crop begins
            assert min(box[2] - box[0], box[3] - box[1]) < 2 * LEAST_PX
    assert list(kept) == sorted(kept)


def test_known_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [15, 5, 40, 20], [45, 20, 80, 30], [20, 0, 50, 12]], np.float32)
    crop = np.array([[1, 0, -20], [0, 1, -10]], np.float32)  # 30 x 20 px at (20, 10) of 100 x 50
    found, numbers = move(boxes, crop, (50, 100, 3), (20, 30, 3))
    assert numbers.tolist() == [1, 2, 3]
    assert found.tolist() == [[0, 0, 20, 10], [25, 10, 30, 20], [0, 0, 30, 2]]
    mirrored = np.array([[-1, 0, 50], [0, 1, -10]], np.float32)
    assert move(boxes, mirrored, (50, 100), (20, 30))[0].tolist() == [[10, 0, 30, 10], [0, 10, 5, 20], [0, 0, 30, 2]]
    turned = np.array([[0, 2, 5], [-1, 0, 100]], np.float32)  # a quarter, twice as wide, 5 px of padding at its left
    found, numbers = move(np.array([[90, 40, 110, 60], [3, 4, 3, 9]]), turned, (50, 100), (100, 110))
    assert found.tolist() == [[85, 0, 105, 10]]
    assert numbers.tolist() == [0]
    assert found.dtype == np.float32


NOT: list[Spec] = [
    [{"Crop": {"x_max": 30, "y_max": 30}}, {"Pad": {"padding": 2}}],  # what was cut off is seen no more
    [{"Crop": {"x_max": 30, "y_max": 30}}, {"RandomCrop": {"height": 40, "width": 40, "pad_if_needed": True}}],
    [{"RandomOrder": {"n": 2, "transforms": [{"Pad": {"padding": 2}}, {"Crop": {"x_max": 30, "y_max": 30}}]}}],
    [{"Affine": {}}],  # turns a box that may be cut off by then
    [{"RandomIoUCrop": {}}],  # asks for the boxes
    [{"CoarseDropout": {}}],  # hides some
    [{"OneOf": {"transforms": [{"HorizontalFlip": {}}, {"RandomZoomOut": {}}]}}],
]


@pytest.mark.parametrize("spec", NOT)
def test_other_lists_go_step_by_step(spec: Spec) -> None:
    assert not may_wait(built(spec))


class Asking(A.ImageOnlyTransform):
    """A user's, which looks at the boxes."""

    targets_as_params = ["bboxes"]  # noqa: RUF012


def test_a_users_class_may_do_more() -> None:
    (flip,) = built([{"HorizontalFlip": {}}])
    assert may_wait([flip])
    assert not may_wait([type("Picky", (type(flip),), {})()])
    assert not may_wait([Asking()])
