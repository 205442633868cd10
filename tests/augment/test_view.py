"""What a view holds, answers written out; targets; what is refused; sizes."""

import re
from typing import Any

import albumentations as A
import numpy as np
import numpy.typing as npt
import pytest

from augment.build import TRANSFORMS
from augment.rides import Companions, Rides
from augment.transforms import check, compose, output_shape, shape_of
from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import generator

UInt8Array = npt.NDArray[np.uint8]
Spec = list[dict[str, Any]]

HEIGHT, WIDTH = 96, 128


def plain() -> UInt8Array:
    return np.full((HEIGHT, WIDTH, 3), 60, np.uint8)


NUMBERS = np.arange(24, dtype=np.uint8).reshape(4, 6)
BOXES = np.array([[1, 0, 3, 2], [2, 2, 2, 3], [4, 2, 6, 4]])
"""The second has no area."""
KNOWN: list[tuple[dict[str, Any], UInt8Array, list[list[float]], list[list[float]], list[int], list[float]]] = [
    # transform, mask, frame, boxes, their numbers, key point; of a picture of 6 x 4 px
    ({"HorizontalFlip": {}}, NUMBERS[:, ::-1], [[-1, 0, 6], [0, 1, 0]], [[3, 0, 5, 2], [0, 2, 2, 4]], [0, 2], [4.5, 2]),
    ({"VerticalFlip": {}}, NUMBERS[::-1], [[1, 0, 0], [0, -1, 4]], [[1, 2, 3, 4], [4, 0, 6, 2]], [0, 2], [1.5, 2]),
    ({"Transpose": {}}, NUMBERS.T, [[0, 1, 0], [1, 0, 0]], [[0, 1, 2, 3], [2, 4, 4, 6]], [0, 2], [2, 1.5]),
    (
        {"Crop": {"x_min": 2, "y_min": 1, "x_max": 5, "y_max": 4}},
        NUMBERS[1:4, 2:5],
        [[1, 0, -2], [0, 1, -1]],
        [[0, 0, 1, 1], [2, 1, 3, 3]],
        [0, 2],
        [-0.5, 1],
    ),
    (
        {"Crop": {"x_min": 4, "y_min": 0, "x_max": 6, "y_max": 4}},
        NUMBERS[:, 4:],
        [[1, 0, -4], [0, 1, 0]],
        [[0, 2, 2, 4]],
        [2],
        [-2.5, 2],
    ),
    (
        {"Pad": {"padding": [1, 0, 0, 2]}},  # left, top, right, bottom
        np.pad(NUMBERS, ((0, 2), (1, 0)), constant_values=255),
        [[1, 0, 1], [0, 1, 0]],
        [[2, 0, 4, 2], [5, 2, 7, 4]],
        [0, 2],
        [2.5, 2],
    ),
    (
        {"Resize": {"height": 8, "width": 3}},  # of two columns, the right one lies at the middle
        NUMBERS[:, 1::2].repeat(2, 0),
        [[0.5, 0, 0], [0, 2, 0]],
        [[0.5, 0, 1.5, 4], [2, 4, 3, 8]],
        [0, 2],
        [0.75, 4],
    ),
]


@pytest.mark.parametrize(("transform", "mask", "frame", "boxes", "numbers", "point"), KNOWN, ids=str)
def test_known_answers(
    transform: dict[str, Any],
    mask: UInt8Array,
    frame: list[list[float]],
    boxes: list[list[float]],
    numbers: list[int],
    point: list[float],
) -> None:
    ((name, parameters),) = transform.items()
    augment = compose([{name: parameters | {"p": 1.0}}], Rides(frozenset({"mask", "boxes", "keypoints"})))
    there = Companions(NUMBERS, BOXES, np.array([[1.5, 2]]))
    view = augment.view(np.zeros((4, 6, 3), np.uint8), there, 1)
    assert view.mask is not None
    assert view.mask.tolist() == mask.tolist()
    assert view.frame == pytest.approx(np.array(frame), abs=1e-5)
    assert view.boxes == pytest.approx(np.array(boxes), abs=1e-5)
    assert view.numbers is not None
    assert view.numbers.tolist() == numbers
    assert view.keypoints == pytest.approx(np.array([point]), abs=1e-5)
    assert view.target is None


CHAINED: list[dict[str, Any]] = [
    *({name: {}} for name in ("HorizontalFlip", "VerticalFlip", "Transpose", "RandomRotate90", "D4", "ColorJitter")),
    {"RandomCropFromBorders": {}},
    {"CoarseDropout": {}},
    {"OneOf": {"transforms": [{kind: {"height": 12, "width": 11}} for kind in ("RandomCrop", "CenterCrop")]}},
]


def test_a_target_is_transformed_like_the_picture_to_the_bit() -> None:
    for number in range(60):
        rng = generator("chain", number)
        spec = [CHAINED[place] for place in rng.permutation(len(CHAINED))[:6]]
        scale, height, width = int(rng.integers(1, 5)), int(rng.integers(20, 30)), int(rng.integers(20, 30))
        target = rng.integers(0, 256, (scale * height, scale * width, 3), np.uint8)
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        view = compose(spec, Rides(frozenset({"target"}))).view(pixels, Companions(target=target), number)
        assert view.target is not None
        assert view.frame is not None
        assert view.target.shape == (scale * view.pixels.shape[0], scale * view.pixels.shape[1], 3)
        back = np.linalg.inv(np.vstack([view.frame, [0, 0, 1]]))
        rows, columns = np.mgrid[: view.target.shape[0], : view.target.shape[1]]
        x, y, _ = back @ np.stack([(columns + 0.5).ravel() / scale, (rows + 0.5).ravel() / scale, np.ones(rows.size)])
        expected = target[(y * scale).astype(int), (x * scale).astype(int)]
        assert np.array_equal(view.target, expected.reshape(view.target.shape)), spec


def test_a_target_is_a_whole_multiple_of_its_picture() -> None:
    pixels, target = np.zeros((2, 3, 3), np.uint8), np.arange(24, dtype=np.uint8).reshape(4, 6, 1)
    augment = compose([{"Transpose": {"p": 1}}], Rides(frozenset({"target"})))
    view = augment.view(pixels, Companions(target=target), 1)
    assert view.target is not None
    assert view.target[..., 0].tolist() == [[x, 6 + x, 12 + x, 18 + x] for x in range(6)]
    with pytest.raises(
        ZoetropeError, match="the target has 7 x 4 px, which is no whole multiple of its picture's 3 x 2 px"
    ):
        augment.view(pixels, Companions(target=np.zeros((4, 7, 3), np.uint8)), 1)


@pytest.mark.parametrize(
    ("spec", "rides", "line"),
    [
        (
            [{"Cutout": {"size": 2}}, {"Rotate": {}}],
            "target",
            ".Rotate: would not move the target by whole pixels, and it must",
        ),
        ([{"RandomResizedCrop": {"size": [2, 2]}}], "target", ".RandomResizedCrop: would not .* exact; use RandomCrop"),
        ([{"Perspective": {}}], "picture", ".Perspective: .* exact; use HorizontalFlip or VerticalFlip or Transpose"),
        (
            [{"RandomCrop": {"height": 2, "width": 2, "pad_if_needed": True}}],
            "target",
            ".RandomCrop.pad_if_needed: w",
        ),
        ([{"ElasticTransform": {}}], "boxes", ".ElasticTransform: bends the picture, .* where boxes lie; use Affine"),
        ([{"OneOf": {"transforms": [{"Perspective": {}}]}}], "keypoints", ".OneOf.transforms.0..Perspective: bends "),
        ([{"ThinPlateSpline": {}}], "frame", ".ThinPlateSpline: bends the picture, .* where answers lie"),
        ([{"Pad": {"padding": 3, "border_mode": 4}}], "boxes", ".Pad.border_mode: shows parts of the picture twice"),
        ([{"Morphological": {}}], "mask", ".Morphological: changes a mask's numbers"),
        ([{"Rotate": {"mask_interpolation": 1}}], "mask", ".Rotate.mask_interpolation: between two classes there is n"),
        ([{"RandomScale": {"area_for_downscale": "image_mask"}}], "mask", ".RandomScale.area_for_downscale: between t"),
        ([{"ConstrainedCoarseDropout": {"bbox_labels": ["a"]}}], "mask", ".ConstrainedCoarseDropout.bbox_labels: box"),
        (
            [{"MaskDropout": {}}],
            "mask boxes",
            ".MaskDropout: leaves the boxes of the objects that it paints over; use Co",
        ),
        ([{"BBoxSafeRandomCrop": {}}], "mask", ".BBoxSafeRandomCrop: not available: it needs boxes or masks, which "),
        ([{"RandomCropNearBBox": {}}], "boxes", ".RandomCropNearBBox: not available: it needs one of a sample's box"),
    ],
)
def test_what_does_not_move_what_rides_is_refused_in_words(spec: Spec, rides: str, line: str) -> None:
    found = check(spec, "a", Rides(frozenset(rides.split())))
    assert len(found) == 1
    assert re.match(rf"a\[{len(spec) - 1}\]{line}", found[0])
    with pytest.raises(ZoetropeError):
        compose(spec, Rides(frozenset(rides.split())))


def test_a_transform_says_itself_what_it_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    class Moves(A.NoOp):
        _targets = (A.NoOp._targets[0], A.NoOp._targets[1])  # the picture, and its mask

    monkeypatch.setitem(TRANSFORMS, "Moves", Moves)
    assert check([{"Moves": {}}], "a", Rides(frozenset({"mask"}))) == []
    (line,) = check([{"Moves": {}}], "a", Rides(frozenset({"mask", "boxes", "keypoints"})))
    assert line.startswith("a[0].Moves: does not move boxes and keypoints, which the task's samples have")


def test_a_mask_alone_may_be_bent_and_then_has_no_frame() -> None:
    pixels, rides = plain(), Rides(frozenset({"mask"}))
    mirrored = {"Pad": {"padding": 3, "border_mode": 4}}
    specs: list[Spec] = [[{"GridDistortion": {}}], [{"OneOf": {"transforms": [mirrored]}}]]
    for spec in specs:
        assert compose(spec, rides).view(pixels, Companions(mask=pixels[..., 0]), 1).frame is None
    assert compose([], rides).view(pixels, Companions(mask=pixels[..., 0]), 1).frame is not None


def test_a_mask_has_any_whole_numbers_and_the_size_of_its_picture() -> None:
    numbers = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH)
    rides = Rides(frozenset({"mask"}), ignore=65535)
    augment = compose([{"SafeRotate": {"limit": [40, 50], "p": 1}}, {"Pad": {"padding": 1}}], rides)
    found = augment.view(plain(), Companions(mask=numbers), 1).mask
    assert found is not None
    assert found.dtype == np.uint16
    assert set(np.unique(found)) <= {*range(HEIGHT * WIDTH), 65535}
    assert (found[0] == 65535).all()
    for shape in ((WIDTH, HEIGHT), (WIDTH, HEIGHT, 2)):
        with pytest.raises(ZoetropeError, match=r"the mask is \[.*\], but must be \[96, 128\] as its picture is"):
            augment.view(plain(), Companions(mask=np.zeros(shape, np.uint8)), 1)


def test_crops_about_boxes_and_masks_keep_them() -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[70, 100] = 3
    boxes = np.array([[5, 6, 20, 30], [60, 50, 90, 70]])
    safe = compose([{"RandomSizedBBoxSafeCrop": {"height": 40, "width": 40}}], Rides(frozenset({"boxes"})))
    full = compose([{"CropNonEmptyMaskIfExists": {"height": 20, "width": 20}}], Rides(frozenset({"mask"})))
    for draw in range(10):
        numbers = safe.view(plain(), Companions(boxes=boxes), draw).numbers
        assert numbers is not None
        assert numbers.tolist() == [0, 1]
        kept = full.view(plain(), Companions(mask=mask), draw).mask
        assert kept is not None
        assert (kept == 3).sum() == 1
    assert output_shape([{"RandomSizedBBoxSafeCrop": {"height": 40, "width": 30}}], 64, safe.rides) == (40, 30)


def test_a_view_names_what_was_applied_and_wants_what_rides() -> None:
    augment = compose([{"HorizontalFlip": {"p": 1}}, {"Transpose": {"p": 0}}], Rides(frozenset({"mask", "frame"})))
    view, names = augment.explain_view(plain(), Companions(mask=plain()[..., 0]), 1)
    assert names == ["HorizontalFlip"]
    assert view.mask is not None
    assert np.array_equal(view.mask, view.pixels[..., 0])
    with pytest.raises(ValueError, match=r"\['frame', 'mask'\] ride, but the sample has \['boxes'\]"):
        augment.view(plain(), Companions(boxes=np.zeros((0, 4))), 1)
    with pytest.raises(ValueError, match=r"\['masks'\] cannot ride"):
        Rides(frozenset({"masks"}))


def test_the_shape_of_each_size() -> None:
    augment = compose([{"SmallestMaxSize": {"max_size": 50}}], Rides(frozenset({"mask", "frame"})))
    assert [shape_of(augment, 100, 150), shape_of(augment, 150, 100)] == [(50, 75), (75, 50)]
    assert augment.shapes == {(100, 150): (50, 75), (150, 100): (75, 50)}
    assert shape_of(compose([]), 31, 17) == (31, 17)
    with pytest.raises(ZoetropeError, match="does not fit frames of 30 x 20 px"):
        shape_of(compose([{"CenterCrop": {"height": 25, "width": 25}}]), 20, 30)
    with pytest.raises(ZoetropeError, match=r"several sizes .* of one of 60 x 40 px, .* such as RandomScale"):
        shape_of(compose([{"RandomScale": {"scale_limit": 0.5, "p": 1}}]), 40, 60)
