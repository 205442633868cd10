import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.boxes import centres_inside, overlaps
from augment.erase import GREY
from augment.rides import Companions, Rides, View
from augment.transforms import check, compose

RIDES = Rides(frozenset({"boxes", "frame"}))
BOXES = np.array([[10, 8, 31, 29], [40, 20, 61, 45]], np.float32)
"""Centres lie on no border of a crop."""
PIXELS = np.arange(48 * 64 * 3, dtype=np.uint32).reshape(48, 64, 3).astype(np.uint8)


def seen(name: str, draw: int, boxes: np.ndarray = BOXES, **parameters: object) -> View:
    augment = compose([{name: {"p": 1.0, **parameters}}], RIDES)
    return augment.view(PIXELS, Companions(boxes=boxes), "boxes", draw)


def crop_of(view: View) -> tuple[float, float, float, float]:
    """Where it lies in the picture."""
    assert view.frame is not None
    left, top = -view.frame[:, 2]
    height, width = view.pixels.shape[:2]
    return left, top, left + width, top + height


def test_known_overlaps() -> None:
    boxes = np.array([[0, 0, 4, 4], [2, 0, 6, 4], [8, 8, 9, 9]], np.float64)
    assert overlaps(boxes, (0, 0, 4, 4)).tolist() == [1, 8 / 24, 0]
    assert centres_inside(boxes, (0, 0, 4, 4)).tolist() == [True, False, False]  # on the border is not inside


@pytest.mark.parametrize("least", [0.0, 0.1, 0.3, 0.5, 0.7])
def test_a_crop_overlaps_with_an_object_as_much_as_is_asked(least: float) -> None:
    sizes = set()
    for draw in range(30):
        view = seen("RandomIoUCrop", draw, ious=[least], trials=1000)
        assert view.boxes is not None
        assert view.numbers is not None
        crop = crop_of(view)
        inside = centres_inside(BOXES, crop)
        assert view.numbers.tolist() == np.flatnonzero(inside).tolist()
        assert overlaps(BOXES[inside].astype(float), crop).max() >= least
        origin = np.array([crop[0], crop[1]] * 2)
        clipped = np.clip(BOXES[inside] - origin, 0, [crop[2] - crop[0], crop[3] - crop[1]] * 2)
        assert view.boxes == pytest.approx(clipped, abs=1e-3)
        left, top, right, bottom = map(round, crop)
        assert np.array_equal(view.pixels, PIXELS[top:bottom, left:right])
        assert 0.5 <= (right - left) / (bottom - top) <= 2
        sizes.add(view.pixels.shape)
    assert len(sizes) > 10


def test_a_picture_may_stay_whole() -> None:
    assert np.array_equal(seen("RandomIoUCrop", 0, ious=[1.0]).pixels, PIXELS)
    nothing = seen("RandomIoUCrop", 0, boxes=np.zeros((0, 4), np.float32))
    assert np.array_equal(nothing.pixels, PIXELS)
    assert nothing.boxes is not None
    assert nothing.boxes.shape == (0, 4)


@given(st.integers(0, 1000))
def test_zooming_out_keeps_the_picture_on_a_canvas_of_its_shape(draw: int) -> None:
    view = seen("RandomZoomOut", draw, sides=[1.5, 3])
    assert view.frame is not None
    left, top = (int(shift) for shift in view.frame[:, 2])
    height, width = view.pixels.shape[:2]
    assert 1.45 <= width / 64 <= 3
    assert height / 48 == pytest.approx(width / 64, abs=0.03)
    assert np.array_equal(view.pixels[top : top + 48, left : left + 64], PIXELS)
    assert view.boxes == pytest.approx(BOXES + np.array([left, top, left, top]), abs=1e-3)
    outside = np.ones((height, width), bool)
    outside[top : top + 48, left : left + 64] = False
    assert (view.pixels[outside] == GREY).all()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"RandomIoUCrop": {"sides": [0.9, 0.3]}}, "must not be above"),
        ({"RandomIoUCrop": {"ious": []}}, "ious"),
        ({"RandomIoUCrop": {"ious": [1.5]}}, "ious"),
        ({"RandomZoomOut": {"sides": [0.5, 2]}}, "sides"),
    ],
)
def test_wrong_parameters_are_named(spec: dict[str, dict[str, object]], says: str) -> None:
    assert says in check([spec], "a", RIDES)[0]
