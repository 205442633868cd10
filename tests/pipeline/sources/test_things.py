"""What becomes of the boxes of annotations once their picture is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.decode.limits import BadSample
from pipeline.decode.objects import MAX_OBJECTS
from pipeline.sources.rows import Row
from pipeline.sources.things import READINGS, Thing, as_corners, kept, objects_of, renamed, settled, tally

WHOLE = (10.0, 5.0, 20.0, 10.0)


def test_what_is_not_said_is_left_out() -> None:
    assert objects_of([]) == {"boxes": [], "classes": []}
    assert objects_of([Thing("dog", WHOLE)], (100, 50)) == {"size": [100, 50], "boxes": [[*WHOLE]], "classes": ["dog"]}
    things = [Thing("dog", WHOLE, area=40.0), Thing("cat", WHOLE, crowd=1, outline=[[0, 0, 1, 0, 1, 1]])]
    assert objects_of(things) == {
        "boxes": [[*WHOLE], [*WHOLE]],
        "classes": ["dog", "cat"],
        "crowd": [0, 1],
        "areas": [40.0, 50.0],
        "outlines": [None, [[0, 0, 1, 0, 1, 1]]],
    }


def test_classes_by_other_names() -> None:
    said = objects_of([Thing("dog", WHOLE), Thing("cat", (0, 0, 1, 1), crowd=1)], (100, 50))
    assert renamed(said, {"dog": None, "cat": "pet"}) == {
        "size": [100, 50],
        "boxes": [[0, 0, 1, 1]],
        "classes": ["pet"],
        "crowd": [1],
    }
    assert kept(said, [False, False]) == {"size": [100, 50], "boxes": [], "classes": [], "crowd": []}


def test_shares_become_px() -> None:
    said = objects_of([Thing("dog", (0.1, 0.1, 0.2, 0.2), outline=[[0.1, 0.1, 0.2, 0.1, 0.2, 0.2]])], relative=True)
    assert settled(said, 100, 50).objects == {
        "size": [100, 50],
        "boxes": [[10, 5, 20, 10]],
        "classes": ["dog"],
        "outlines": [[[10, 5, 20, 5, 20, 10]]],
    }


def test_boxes_that_are_none_are_left_out_and_counted() -> None:
    boxes = [WHOLE, (5, 5, 5, 9), (9, 5, 5, 9), (100, 0, 110, 9), (-9, 0, 0, 9), (-0.5, 0, 100.5, 9), (-5, 0, 9, 9)]
    made = settled(objects_of([Thing("dog", box) for box in boxes]), 100, 50)
    assert made.objects["boxes"] == [[10, 5, 20, 10], [0, 0, 100, 9], [0, 0, 9, 9]]
    assert made.dropped == {
        "without a size": 2,
        "outside of their picture": 2,
        "clipped at the border of their picture": 1,  # half a pixel is rounding
    }


def test_more_objects_than_a_picture_may_have() -> None:
    with pytest.raises(BadSample, match="10,001 objects, more than the 10,000 allowed"):
        settled(objects_of([Thing("dog", WHOLE)] * (MAX_OBJECTS + 1)), 100, 50)


def test_readings_of_four_numbers() -> None:
    numbers = np.array([[10.0, 5, 20, 10]])
    assert {name: as_corners(numbers, name).tolist() for name in READINGS} == {
        "xyxy": [[10, 5, 20, 10]],
        "xywh": [[10, 5, 30, 15]],
        "centre": [[0, 0, 20, 10]],
    }


def a_row(key: str, numbers: tuple[float, ...], taken: str, source: str | None = None) -> Row:
    (corners,) = as_corners(np.array([numbers]), taken).tolist()
    made = settled(objects_of([Thing("dog", tuple(corners))], reading=taken), 100, 50)
    row: Row = {"key": key, "width": 100, "height": 50, "frames": 1, "split": "train", "objects": made.objects}
    row["settled"] = (made.dropped, made.fits, made.reading)
    if source:
        row["source"] = source
    return row


def test_boxes_that_another_reading_fits() -> None:
    """Corners that were taken for width and height stand out of the picture."""
    corners = [(60, 30, 90, 45), (10, 5, 20, 10)]
    found = tally([a_row(str(i), numbers, "xywh") for i, numbers in enumerate(corners)])
    assert found.words() == [
        "1 boxes clipped at the border of their picture, such as in 0",
        "do the boxes hold x0, y0, x1, y1? So all of them lie in their pictures, and as x0, y0, width, height, as they "
        "were read, they do not",
    ]
    assert (found.objects, found.most) == ({("train", "dog"): 2}, 1)


def test_a_reading_that_fits_is_not_doubted() -> None:
    assert tally([a_row("1", (10, 5, 20, 10), "xywh"), a_row("2", (90, 40, 10, 10), "xywh")]).words() == []
    centres = [a_row("1", (95, 5, 10, 10), "xywh"), a_row("2", (5, 45, 10, 10), "xywh", "other")]
    assert [line.partition("?")[0] for line in tally(centres).words() if "?" in line] == [
        "do the boxes hold the centre, width and height",
        "other: do the boxes hold the centre, width and height",
    ]


SIDE = st.floats(-50, 150, allow_nan=False)


@given(st.lists(st.tuples(SIDE, SIDE, SIDE, SIDE), max_size=8))
def test_what_is_left_lies_in_the_picture(boxes: list[tuple[float, float, float, float]]) -> None:
    made = settled(objects_of([Thing(str(i), box) for i, box in enumerate(boxes)]), 100, 50)
    left = np.array(made.objects["boxes"]).reshape(-1, 4)
    assert ((left >= 0) & (left <= [100, 50, 100, 50])).all()
    assert (left[:, :2] < left[:, 2:]).all()
    away = sum(count for what, count in made.dropped.items() if not what.startswith("clipped"))
    assert len(left) == len(made.objects["classes"]) == len(boxes) - away
