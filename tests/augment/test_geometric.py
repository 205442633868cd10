"""Matrices and the warp, against positions written out from the formulas, and against Pillow."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from augment.geometric import Matrix, rotate, shear_x, shear_y, translate, warp
from pipeline.base.keyed import generator

UInt8Array = npt.NDArray[np.uint8]
Place = Callable[[float, float], tuple[float, float]]
FILL = (1, 2, 3)
HEIGHT, WIDTH = 37, 52
MIDDLE_Y, MIDDLE_X = 18.5, 26.0
# OpenCV before 5 counts in 1/1024 px, so a position this near to a pixel's edge may give either pixel
TOLERANCE_PX = 1 / 500


def noise() -> UInt8Array:
    return generator("noise").integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def turned(degrees: float) -> Place:
    """Where the point that is seen at (x, y) after a counter-clockwise turn came from."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return lambda x, y: (
        MIDDLE_X + (x - MIDDLE_X) * cos - (y - MIDDLE_Y) * sin,
        MIDDLE_Y + (x - MIDDLE_X) * sin + (y - MIDDLE_Y) * cos,
    )


def assert_warped(result: UInt8Array, source: UInt8Array, origin: Place) -> None:
    """Every pixel is that of `source` in which the middle of the output pixel came to lie, or `FILL` outside."""
    assert result.shape == source.shape
    assert result.dtype == np.uint8
    wrong = 0
    for i in range(HEIGHT):
        for j in range(WIDTH):
            x, y = origin(j + 0.5, i + 0.5)
            near = {
                (math.floor(y + dy), math.floor(x + dx))
                for dy in (-TOLERANCE_PX, TOLERANCE_PX)
                for dx in (-TOLERANCE_PX, TOLERANCE_PX)
            }
            allowed = {tuple(source[p]) if 0 <= p[0] < HEIGHT and 0 <= p[1] < WIDTH else FILL for p in near}
            wrong += tuple(result[i, j]) not in allowed
    assert wrong == 0


CASES: dict[str, tuple[Matrix, Place]] = {
    "shear x": (shear_x(0.3), lambda x, y: (x - 0.3 * y, y)),
    "shear x back": (shear_x(-0.0333), lambda x, y: (x + 0.0333 * y, y)),
    "shear y": (shear_y(0.99), lambda x, y: (x, y - 0.99 * x)),
    "shear y back": (shear_y(-0.1), lambda x, y: (x, y + 0.1 * x)),
    "right": (translate(7, 0), lambda x, y: (x - 7, y)),
    "up": (translate(0, -4.3), lambda x, y: (x, y + 4.3)),
    "turn": (rotate(30, HEIGHT, WIDTH), turned(30)),
    "turn back": (rotate(-3.33, HEIGHT, WIDTH), turned(-3.33)),
    "turn far": (rotate(135, HEIGHT, WIDTH), turned(135)),
}


@pytest.mark.parametrize("case", CASES)
def test_warp(case: str) -> None:
    matrix, origin = CASES[case]
    assert_warped(warp(noise(), matrix, FILL), noise(), origin)


@settings(deadline=None, max_examples=15)
@given(st.floats(-180, 180))
def test_any_turn(degrees: float) -> None:
    assert_warped(warp(noise(), rotate(degrees, HEIGHT, WIDTH), FILL), noise(), turned(degrees))


@pytest.mark.parametrize("degrees", [3.3, 10, 23.7, -30])
def test_turns_are_pillows(degrees: float) -> None:
    pillow = np.asarray(Image.fromarray(noise()).rotate(degrees, Image.Resampling.NEAREST, fillcolor=FILL))
    assert (warp(noise(), rotate(degrees, HEIGHT, WIDTH), FILL) != pillow).mean() < 0.01


@pytest.mark.parametrize(
    ("matrix", "inverse"),
    [
        (shear_x(-0.17), (1, 0.17, 0, 0, 1, 0)),
        (shear_y(0.29), (1, 0, 0, -0.29, 1, 0)),
        (translate(-5, 3), (1, 0, 5, 0, 1, -3)),
    ],
)
def test_shifts_are_pillows(matrix: Matrix, inverse: tuple[float, ...]) -> None:
    pillow = Image.fromarray(noise()).transform((WIDTH, HEIGHT), Image.Transform.AFFINE, inverse, fillcolor=FILL)
    assert (warp(noise(), matrix, FILL) != np.asarray(pillow)).mean() < 0.01


def test_known_answers() -> None:
    row = np.arange(1, 5, dtype=np.uint8).reshape(1, 4, 1).repeat(3, -1)
    assert warp(row, translate(1, 0), (9, 9, 9))[0, :, 0].tolist() == [9, 1, 2, 3]
    assert warp(row, translate(-2, 0), (9, 9, 9))[0, :, 0].tolist() == [3, 4, 9, 9]
    square = np.array([[1, 2], [3, 4]], np.uint8)[..., None].repeat(3, -1)
    assert warp(square, rotate(90, 2, 2), (9, 9, 9))[..., 0].tolist() == [[2, 4], [1, 3]]
    assert np.array_equal(warp(noise(), rotate(0, HEIGHT, WIDTH), FILL), noise())
