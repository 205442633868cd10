"""Polygons and run lengths as masks; what is expected is what cocoapi's tools (pycocotools 2.0.11) make of them."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.decode.limits import BadSample
from pipeline.decode.outlines import draw_mask, polygon, row_bits, row_runs, runs

Points = list[float]
KNOWN: dict[str, tuple[Points, str, list[str]]] = {
    "rectangle": (
        [1, 1, 5, 1, 5, 4, 1, 4],
        "73300000a0",
        ["........", ".####...", ".####...", ".####...", "........", "........"],
    ),
    "triangle": (
        [0.5, 0.5, 7.2, 3.1, 2.4, 6.8],
        "9353NN1O1O2O=",
        [
            ".........",
            ".##......",
            ".#####...",
            ".######..",
            "..###....",
            "..##.....",
            "..#......",
            ".........",
        ],
    ),
    "beyond the picture": (
        [-3, 2, 4, -2, 12, 5, 4, 9],
        "0521Om00SO",
        ["#######.", "########", "########", "########", "########", ".#######", "..######"],
    ),
    "with a hole": (
        [1, 1, 6, 1, 6, 6, 1, 6, 1, 1, 3, 3, 5, 3, 5, 5, 3, 5, 3, 3],
        "95300MOO11OO14?",
        ["........", ".#####..", ".#####..", ".##..#..", ".##..#..", ".#####..", "........", "........"],
    ),
}


def picture(bits: np.ndarray) -> list[str]:
    return ["".join(".#"[int(bit)] for bit in row) for row in bits]


def pixels(content: bytes) -> list[list[int]]:
    with Image.open(io.BytesIO(content)) as image:
        values: list[list[int]] = np.asarray(image).tolist()
        return values


@pytest.mark.parametrize("name", KNOWN)
def test_the_pixels_of_known_outlines(name: str) -> None:
    points, letters, rows = KNOWN[name]
    width, height = len(rows[0]), len(rows)
    assert picture(polygon(points, width, height)) == rows
    assert picture(runs({"size": [height, width], "counts": letters}, width, height)) == rows


def test_run_lengths_as_numbers() -> None:
    counts = {"size": [2, 4], "counts": [1, 2, 4, 1]}
    assert picture(runs(counts, 4, 2)) == [".#..", "#..#"]


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_a_rectangle_on_the_grid_has_its_pixels(width: int, height: int, data: st.DataObject) -> None:
    x0, x1 = sorted((data.draw(st.integers(0, width)), data.draw(st.integers(0, width))))
    y0, y1 = sorted((data.draw(st.integers(0, height)), data.draw(st.integers(0, height))))
    expected = np.zeros((height, width), bool)
    expected[y0:y1, x0:x1] = True
    corners = [x0, y0, x1, y0, x1, y1, x0, y1]
    assert np.array_equal(polygon(corners, width, height), expected)
    backwards = [number for point in np.reshape(corners, (-1, 2))[::-1].tolist() for number in point]
    assert np.array_equal(polygon(backwards, width, height), expected)


def test_run_lengths_along_rows() -> None:
    bits = np.array([[False, True, True], [True, True, False]])
    assert row_runs(bits) == [1, 4, 1]
    np.testing.assert_array_equal(row_bits([1, 4, 1], 3, 2), bits)
    assert row_runs(np.ones((2, 2), np.bool_)) == [0, 4]
    assert row_runs(np.zeros((2, 2), np.bool_)) == [4]
    for lengths in ([7], [-1, 7], []):
        with pytest.raises(BadSample, match="do not add up to the 6 pixels of a box of 3 x 2"):
            row_bits(lengths, 3, 2)
    with pytest.raises(BadSample, match="are more than the"):
        row_bits([10**12], 10**6, 10**6)


def test_later_objects_lie_over_earlier_ones() -> None:
    whole, crowd = [0, 0, 4, 0, 4, 2, 0, 2], {"size": [2, 4], "counts": [1, 2, 4, 1]}
    objects: list[tuple[int, Any]] = [
        (3, [whole]),
        (300, crowd),
        (9, [[3, 0, 4, 0, 4, 1, 3, 1], [0, 0, 1, 0, 1, 1, 0, 1]]),
    ]
    assert pixels(draw_mask(objects, 4, 2)) == [[9, 300, 3, 9], [300, 3, 3, 300]]
    assert pixels(draw_mask([], 3, 1)) == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("segmentation", "says"),
    [
        ("text", "an annotation's segmentation is neither a list of polygons nor run lengths"),
        (None, "an annotation's segmentation is neither a list of polygons nor run lengths"),
        ([[0, 0, 1, 1]], "a polygon has 2 points"),
        ([[0, 0, 1, 1, float("nan"), 1]], "a polygon has 3 points, or some that are no numbers"),
        ([[0, 0, 1, 1, 2]], "a polygon is no list of x0, y0, x1, y1, ..."),
        ([["a", 0, 1, 1, 2, 2]], "a polygon is no list of x0, y0, x1, y1, ..."),
        ({"size": [4, 2], "counts": [8]}, "run lengths are of height and width [4, 2], and the picture has 2 and 4"),
        ({"size": [2, 4], "counts": [7]}, "run lengths do not add up to the 8 pixels of the picture"),
        ({"size": [2, 4], "counts": [-1, 9]}, "run lengths do not add up to the 8 pixels of the picture"),
        ({"size": [2, 4], "counts": "8{"}, "run lengths are neither numbers nor COCO's letters"),
        ({"size": [2, 4], "counts": "X"}, "run lengths are neither numbers nor COCO's letters"),
        ({"size": [2, 4], "counts": "ä"}, "run lengths are neither numbers nor COCO's letters"),
        ({"size": [2, 4], "counts": None}, "run lengths "),
        ({"size": [2, 4], "counts": [2**70]}, "run lengths are neither numbers nor COCO's letters"),
    ],
)
def test_what_is_no_outline(segmentation: Any, says: str) -> None:
    with pytest.raises(BadSample) as caught:
        draw_mask([(1, segmentation)], 4, 2)
    assert caught.value.reason.startswith(says)


def test_an_outline_far_off_costs_no_more_than_one_beside_the_picture() -> None:
    far = [-1e300, -1e300, 1e300, -1e300, 1e300, 1e300, -1e300, 1e300]
    assert polygon(far, 4, 2).all()
