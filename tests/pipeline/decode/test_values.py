"""From the values of a source's masks to the classes of a run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.decode.limits import BadSample
from pipeline.decode.values import OTHERS, Values, packed, spans

GREY = Values({0: 0, 7: 1, 8: 1, 255: 255, 40_000: 2})
COLOURS = Values({packed(128, 0, 0): 1, packed(0, 0, 0): 0, packed(1, 2, 3): 255}, colours=True)
OBJECTS = Values({0: 0, 9: 255}, rest=1)


def test_values_become_classes() -> None:
    pixels = np.array([[0, 7, 8], [255, 40_000, 7]], np.uint16)
    counts = GREY.count(pixels)
    assert counts == {0: 1, 7: 2, 8: 1, 255: 1, 40_000: 1}
    assert GREY.classes(counts) == {0: 1, 1: 3, 2: 1}
    assert GREY.look_up(pixels).tolist() == [[0, 1, 1], [255, 2, 1]]
    assert GREY.look_up(np.array([[7, 3]], np.uint8)).tolist() == [[1, 255]]


def test_colours_become_classes() -> None:
    pixels = np.array([[0x800000, 0, 0x010203]], np.uint32)
    assert COLOURS.count(pixels) == {0x800000: 1, 0: 1, 0x010203: 1}
    assert COLOURS.look_up(pixels).tolist() == [[1, 0, 255]]
    assert COLOURS.written(packed(1, 2, 3)) == "1 2 3"


def test_whatever_else_there_is_may_be_one_class() -> None:
    pixels = np.array([[0, 1, 300], [9, 2, 2]], np.uint16)
    counts = OBJECTS.count(pixels)
    assert counts == {0: 1, 9: 1, OTHERS: 4}
    assert OBJECTS.classes(counts) == {0: 1, 1: 4}
    assert OBJECTS.look_up(pixels).tolist() == [[0, 1, 1], [255, 1, 1]]
    assert OBJECTS.written(OTHERS) == "others"


@pytest.mark.parametrize(
    ("values", "pixels", "says"),
    [
        (
            GREY,
            np.array([[1, 3, 3, 0]], np.uint8),
            "it has the value 3 in 2 pixels and 1 more values; data.source.classes and ignore name 0, 7 to 8, 255, "
            "40000: add it to one of them",
        ),
        (
            COLOURS,
            np.array([[0x800001]], np.uint32),
            "it has the colour 128 0 1 in 1 pixels; data.source.classes and ignore name 3 colours: add it to one of "
            "them",
        ),
        (
            Values({}, colours=None),
            np.arange(1001, dtype=np.uint16)[None],
            "it has 1,001 different values; was it saved as a JPEG once, or is it no mask?",
        ),
    ],
)
def test_values_that_mean_nothing(values: Values, pixels: np.ndarray, says: str) -> None:
    with pytest.raises(BadSample) as caught:
        values.count(pixels)
    assert caught.value.reason == says


def test_nothing_is_wrong_where_nothing_is_said() -> None:
    assert Values({}, colours=None).count(np.array([[3, 3, 200]], np.uint8)) == {3: 2, 200: 1}


def test_classes_are_numbered_anew() -> None:
    assert GREY.mapped([4, 255, 0]) == Values({0: 4, 7: 255, 8: 255, 255: 255, 40_000: 0})
    assert OBJECTS.mapped([1, 0]) == Values({0: 1, 9: 255}, rest=0)


@given(st.dictionaries(st.integers(0, 65_535), st.integers(0, 255), min_size=1, max_size=20), st.integers(0, 99))
def test_looking_up_is_what_the_table_says(of: dict[int, int], seed: int) -> None:
    values = Values(of)
    pixels = np.random.default_rng(seed).choice([*of], (5, 7)).astype(np.uint16)
    made = values.look_up(pixels)
    assert made.tolist() == [[of[value] for value in row] for row in pixels.tolist()]
    assert values.classes(values.count(pixels)) == {
        number: int((made == number).sum()) for number in np.unique(made).tolist() if number != 255
    }


@pytest.mark.parametrize(
    ("numbers", "words"), [((), ""), ((3,), "3"), ((2, 0, 1), "0 to 2"), ((0, 1, 5, 9, 10), "0 to 1, 5, 9 to 10")]
)
def test_numbers_in_few_words(numbers: tuple[int, ...], words: str) -> None:
    assert spans(numbers) == words
