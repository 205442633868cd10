"""Masks, boxes, key points and targets go where the pixels go, for every transform that is let through."""

from collections.abc import Sequence
from typing import Any

import albumentations as A
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from albumentations.augmentations.dropout.transforms import BaseDropout

from augment.build import NEEDING, TRANSFORMS
from augment.operations import PHOTOMETRIC, Steps
from augment.refused import NEEDS
from augment.rides import Companions, Rides, View
from augment.transforms import check, compose
from pipeline.base.keyed import generator

UInt8Array = npt.NDArray[np.uint8]
Spec = list[dict[str, Any]]

HEIGHT, WIDTH = 96, 128
ALL = TRANSFORMS | NEEDING
ARGUMENTS: dict[str, dict[str, Any]] = {
    "Affine": {"scale": [0.6, 1.3], "rotate": [-50, 50], "shear": [-15, 15], "translate_percent": 0.1},
    "AtLeastOneBBoxRandomCrop": {"height": 80, "width": 99},
    "AutoAugment": {"policy": [[["Rotate", 1.0, 5], ["ShearX", 1.0, 5]]]},
    "CenterCrop": {"height": 80, "width": 99},
    "ConstrainedCoarseDropout": {"mask_indices": [1]},
    "Crop": {"x_min": 5, "y_min": 7, "x_max": 120, "y_max": 90},
    "CropAndPad": {"percent": [-0.1, 0.2]},
    "CropNonEmptyMaskIfExists": {"height": 80, "width": 99},
    "Cutout": {"size": 16},
    "GridElasticDeform": {"num_grid_xy": [4, 4], "magnitude": 5},
    "LongestMaxSize": {"max_size": 200},
    "Pad": {"padding": [3, 4, 5, 6]},
    "PadIfNeeded": {"min_height": 131, "min_width": 150},
    "PopulationBased": {"schedule": [[0, [["Rotate", 1.0, 5], ["ShearX", 1.0, 5]]]]},
    "RandomCrop": {"height": 80, "width": 99},
    "RandomResizedCrop": {"size": [110, 140], "scale": [0.6, 1]},
    "RandomScale": {"scale_limit": 0.5},
    "RandomSizedBBoxSafeCrop": {"height": 90, "width": 150},
    "RandomSizedCrop": {"min_max_height": [80, 96], "size": [110, 140]},
    "Resize": {"height": 140, "width": 90},
    "SafeRotate": {"limit": [-60, 60]},
    "SmallestMaxSize": {"max_size": 70},
    "Superpixels": {"max_size": 32},
    "XYMasking": {"num_masks_x": 1, "num_masks_y": 1, "mask_x_length": 5, "mask_y_length": 5},
}
RIDES = Rides(frozenset({"mask", "boxes", "keypoints"}), ignore=200)
SEVERAL = ("AutoAugment", "RandAugment", "TrivialAugment", "PopulationBased")
"""Run several steps, and each puts an upright box about the last one's; the first two may change colours too."""


def spec_of(name: str) -> Spec:
    return [{name: {"p": 1.0} | ARGUMENTS.get(name, {})}]


def passes(name: str, *rides: str) -> bool:
    return not check(spec_of(name), "a", Rides(frozenset(rides)))


def paints(cls: type) -> bool:
    return issubclass(cls, BaseDropout | A.PixelDropout | A.MaskDropout)


FRAMED = [name for name in sorted(ALL) if passes(name, "mask", "boxes", "keypoints") and not paints(ALL[name])]
MASKED = [name for name in sorted(ALL) if passes(name, "mask") and issubclass(ALL[name], A.DualTransform)]


def plain(dot: tuple[float, float] | None = None) -> UInt8Array:
    """A grey picture with a strip of all greys above, and a soft dot, whose middle is at `dot` (x, y)."""
    pixels = np.full((HEIGHT, WIDTH, 3), 60, np.float64)
    pixels[:2] = np.linspace(0, 255, WIDTH)[None, :, None]
    if dot:
        rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        pixels += 150 * np.exp(-((columns - dot[0]) ** 2 + (rows - dot[1]) ** 2) / 18)[..., None]
    return pixels.clip(0, 255).astype(np.uint8)


def middle_of(difference: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """(x, y) of what is bright; None where it touches the edge, or there is nothing."""
    weights = np.maximum(difference - 0.2 * difference.max(), 0)
    if difference.max() < 40 or any(edge.any() for edge in (weights[0], weights[-1], weights[:, 0], weights[:, -1])):
        return None
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]] + 0.5
    found: npt.NDArray[np.float64] = np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()
    return found


@pytest.mark.filterwarnings("ignore:The image is already an RGB")
@pytest.mark.parametrize("name", FRAMED)
def test_a_dot_lies_where_the_frame_and_the_key_points_say(name: str) -> None:
    augment = compose(spec_of(name), RIDES)
    moves = issubclass(ALL[name], A.DualTransform)
    # Steps take the nearest pixel; some blurs scatter
    near = 2.5 if not moves else 0.6 if issubclass(ALL[name], Steps) else 0.06
    box, seen = [40, 30, 90, 70], 0
    for draw in range(5 if moves else 2):
        x, y = (float(v) for v in generator("dot", draw).uniform((35, 35), (WIDTH - 35, HEIGHT - 35)))
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[30:70, 40:90] = 1
        there = Companions(mask, np.array([box]), np.array([[x, y]]))
        without, view = (augment.view(plain(dot), there, "key", draw) for dot in (None, (x, y)))
        assert view.frame is not None
        assert view.keypoints is not None
        said = view.frame @ [x, y, 1]
        assert view.keypoints[0] == pytest.approx(said, abs=0.001)
        if not moves:
            assert np.array_equal(view.frame, [[1, 0, 0], [0, 1, 0]])
        dot = middle_of(np.abs(view.pixels.astype(float) - without.pixels).sum(-1))
        if dot is not None:
            seen += 1
            assert dot == pytest.approx(said, abs=near)
        check_box(view, box, name)
    assert seen or not moves  # not every dot outshines noise


def check_box(view: View, box: Sequence[float], name: str) -> None:
    assert view.boxes is not None
    assert view.numbers is not None
    assert view.frame is not None
    corners = np.array([[x, y, 1] for x in box[::2] for y in box[1::2]]) @ view.frame.T
    height, width = view.pixels.shape[:2]
    around = np.clip([*corners.min(0), *corners.max(0)], 0, [width, height, width, height])
    assert view.numbers.tolist() == [0]
    # albumentations' SafeRotate and Morphological move boxes less exactly; several steps leave some room about them
    exact = {"SafeRotate": 0.51, "Morphological": 3.1} | dict.fromkeys(SEVERAL, 8)
    assert view.boxes[0] == pytest.approx(around, abs=exact.get(name, 0.02))


@pytest.mark.parametrize("name", [name for name in sorted(ALL) if issubclass(ALL[name], BaseDropout)])
def test_what_paints_drops_the_boxes_that_it_hides_wholly_and_no_other(name: str) -> None:
    rows, columns = np.mgrid[2 : HEIGHT - 6 : 6, 2 : WIDTH - 6 : 6]
    boxes = np.stack([columns, rows, columns + 5, rows + 4], -1).reshape(-1, 4)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:60, 30:90] = 1
    augment = compose(spec_of(name), Rides(frozenset({"mask", "boxes"})))
    dropped = 0
    for draw in range(8):
        pixels = np.full((HEIGHT, WIDTH, 3), 77, np.uint8)
        view = augment.view(pixels, Companions(mask, boxes), draw)
        painted = (view.pixels != 77).any(-1)
        hidden = [bool(painted[y0:y1, x0:x1].all()) for x0, y0, x1, y1 in boxes]
        assert view.numbers is not None
        assert view.numbers.tolist() == np.flatnonzero(~np.array(hidden)).tolist()
        assert view.boxes == pytest.approx(boxes[view.numbers], abs=1e-4)
        dropped += sum(hidden)
    assert dropped or name in ("FrequencyMasking", "TimeMasking", "XYMasking", "ConstrainedCoarseDropout")


COLOURS = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [0, 0, 0], [125, 123, 114]], np.uint8)
"""Of classes 0, 1 and 2, and what two houses fill with."""


@pytest.mark.parametrize("name", MASKED)
def test_a_mask_goes_with_its_pixels(name: str) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(mask, (80, 40), 25, 1, -1)
    cv2.rectangle(mask, (15, 30), (50, 80), 2, -1)
    augment = compose(spec_of(name), Rides(frozenset({"mask"}), 200))
    for draw in range(3):
        view = augment.view(COLOURS[mask], Companions(mask=mask), "key", draw)
        assert view.mask is not None
        assert view.mask.shape == view.pixels.shape[:2]
        assert view.mask.dtype == np.uint8
        assert set(np.unique(view.mask)) <= {0, 1, 2, 200}
        if paints(ALL[name]):
            assert np.isin(view.mask[view.mask != mask], 200).all()
            continue
        kernel, edged = np.ones((5, 5), np.uint8), np.pad(view.mask, 2, constant_values=77)
        inside = (cv2.dilate(edged, kernel) == cv2.erode(edged, kernel))[2:-2, 2:-2]
        assert inside.mean() > 0.4
        distance = np.abs(view.pixels[..., None, :].astype(int) - COLOURS).sum(-1)
        shown = np.array([0, 1, 2, 200, 200])[distance.argmin(-1)]
        if name.removeprefix("Pillow") in PHOTOMETRIC:
            assert np.array_equal(view.mask, mask)
        elif name not in ("RandAugment", "TrivialAugment") or (distance.min(-1)[inside] < 30).all():
            assert np.array_equal(shown[inside], view.mask[inside])


@pytest.mark.filterwarnings("ignore:The image is already an RGB")
@pytest.mark.parametrize("name", sorted(TRANSFORMS))
def test_pixels_are_the_same_whatever_rides(name: str) -> None:
    kinds = [kind for kind in ("mask", "boxes", "keypoints", "target") if passes(name, kind)]
    pixels = generator("noise").integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    there = {
        "mask": pixels[..., 0],
        "boxes": np.array([[3, 4, 90, 80], [0, 0, 0, 0]]),
        "keypoints": np.array([[5, 6], [-3, 400]]),
        "target": pixels,
    }
    alone = compose(spec_of(name))(pixels, "key")
    for kind in kinds:
        view = compose(spec_of(name), Rides(frozenset({kind}))).view(pixels, Companions(**{kind: there[kind]}), "key")
        assert np.array_equal(view.pixels, alone)
    empty = Companions(boxes=np.zeros((0, 4)), keypoints=np.zeros((0, 2)))
    if passes(name, "boxes"):
        view = compose(spec_of(name), Rides(frozenset({"boxes", "keypoints"}))).view(pixels, empty, "key")
        assert view.boxes is not None
        assert view.numbers is not None
        assert view.keypoints is not None
        assert (view.boxes.shape, view.numbers.shape, view.keypoints.shape) == ((0, 4), (0,), (0, 2))


def test_without_what_it_needs_a_transform_is_refused_as_ever() -> None:
    for name, kind in NEEDS.items():
        (line,) = check(spec_of(name), "a")
        assert line == f"a[0].{name}: not available: it needs boxes or masks, which these samples do not have"
        assert passes(name, kind)
