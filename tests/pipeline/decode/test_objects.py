"""Objects: boxes and classes, from what a source says to the feed."""

import io
import json
from typing import Any

import numpy as np
import pytest

from pipeline.decode.limits import BadSample
from pipeline.decode.objects import MAX_OBJECTS, count_objects, probe_objects, read_objects, store_objects
from pipeline.decode.values import Values

SAID: dict[str, Any] = {"size": [100, 50], "boxes": [[10, 5, 20, 10], [0, 0, 100, 50]], "classes": [2, 0]}
RUNS = {"size": [50, 100], "counts": [4, 4996]}


def content(**more: Any) -> bytes:
    return json.dumps({**SAID, **more}).encode()


def test_what_is_said_comes_back() -> None:
    data, found = store_objects(content(crowd=[0, 1]), (100, 50), (100, 50), classes=3)
    assert found == {2: 1, 0: 1}
    read = read_objects(data)
    assert (read.boxes.dtype, read.boxes.tolist()) == (np.float32, SAID["boxes"])
    assert (read.classes.dtype, read.classes.tolist()) == (np.int64, [2, 0])
    assert (read.crowd.dtype, read.crowd.tolist()) == (np.uint8, [0, 1])
    assert (read.areas.dtype, read.areas.tolist()) == (np.float32, [50, 5000])
    assert (read.size, len(read)) == ((100, 50), 2)
    assert json.loads(data) == {**SAID, "crowd": [0, 1]}  # and nothing that was not said


def test_a_picture_made_smaller() -> None:
    outlines = [[[10, 5, 20, 5, 20, 10]], RUNS]
    said = content(outlines=outlines, keypoints=[[12, 6, 2, 0, 0, 0], None])
    data, _ = store_objects(said, (100, 50), (40, 25), classes=3)
    stored = json.loads(data)
    assert stored["size"] == [100, 50]
    assert stored["boxes"] == [[4, 2.5, 8, 5], [0, 0, 40, 25]]
    assert stored["areas"] == [50, 5000]  # of the source
    assert stored["outlines"] == [[[4, 2.5, 8, 2.5, 8, 5]], RUNS]
    assert stored["keypoints"] == [[4.8, 3, 2, 0, 0, 0], None]
    assert read_objects(data).areas.tolist() == [50, 5000]


def test_areas_of_outlines_are_not_those_of_boxes() -> None:
    data, _ = store_objects(content(areas=[20.5, 4000]), (100, 50), (100, 50), classes=3)
    assert read_objects(data).areas.tolist() == [20.5, 4000]


def test_boxes_are_clipped_where_rounding_puts_them_outside() -> None:
    data, _ = store_objects(content(boxes=[[-0.4, 5, 20, 10], [0, 0, 100.5, 51]]), (100, 50), (50, 25), classes=3)
    assert read_objects(data).boxes.tolist() == [[0, 2.5, 10, 5], [0, 0, 50, 25]]


def test_a_picture_without_objects() -> None:
    data, found = store_objects(content(boxes=[], classes=[]), (100, 50), (50, 25), classes=3)
    read = read_objects(memoryview(data))
    assert (read.boxes.shape, read.classes.shape, read.crowd.shape, read.areas.shape) == ((0, 4), (0,), (0,), (0,))
    assert found == {}


def test_numbers_of_classes_in_tars_of_others() -> None:
    values = Values({2: 0, 0: 255})
    assert count_objects(content(), values) == {2: 1, 0: 1}
    read = read_objects(content(crowd=[2, 0]), values)
    assert (read.classes.tolist(), read.boxes.tolist(), read.crowd.tolist()) == ([0], [[10, 5, 20, 10]], [2])
    with pytest.raises(BadSample, match=r"an object of the class 2; data\.source\.classes and ignore name 0: add it"):
        count_objects(content(), Values({0: 0}))
    assert count_objects(content(), Values({})) == {2: 1, 0: 1}  # where nothing is said yet


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (b"", "the file is empty"),
        (b"[[1, 2, 3, 4]]", 'it has not the keys "size", "boxes" and "classes"'),
        (b"{", "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (content(boxes=[[1, 2, 3]] * 2), r"its boxes are no numbers of the shape \[2, 4\]"),
        (content(boxes=[[1, 2, 3, "a"]] * 2), "its boxes are no numbers"),
        (content(boxes=7), "its boxes are no list"),
        (content(boxes=[[0, 0, 1, 1]] * (MAX_OBJECTS + 1)), "or more than 10,000"),
        (content(classes=[1]), "its classes are no list of 2"),
        (content(classes=[1, -1]), "its classes have a value that means nothing"),
        (content(crowd=[0, 3]), "its crowd have a value that means nothing"),
        (content(crowd=[0, 300]), "its crowd are no numbers"),
        (content(areas=[1, float("nan")]), "its areas have a value that means nothing"),
        (content(size=[0, 4]), "its size have a value that means nothing"),
        (content(boxes=[[1, 2, 1, 4], [0, 0, 1, 1]]), "a box has no size: x0, y0, x1, y1 = 1, 2, 1, 4"),
        (content(boxes=[[0, 0, 1, 1], [90, 2, 120, 4]]), "a box is not in its picture of 100 x 50 px: .* = 90, 2, 120"),
    ],
)
def test_what_is_none(wrong: bytes, says: str) -> None:
    with pytest.raises(BadSample, match=says):
        probe_objects(io.BytesIO(wrong), 100, 50)
    with pytest.raises(BadSample, match=says):
        store_objects(wrong, (100, 50), (50, 25), classes=3)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"outlines": [[1, 2, 3, 4, 5, 6], None]}, "its outlines or key points are no lists of numbers"),
        ({"outlines": [[[1, 2, 3]], None]}, "its outlines or key points are no lists of numbers"),
        ({"outlines": [[[1, "a"]], None]}, "its outlines or key points are no lists of numbers"),
        ({"keypoints": [[1, 2], None]}, "its outlines or key points are no lists of numbers"),
        ({"keypoints": [[1, 2, float("inf")], None]}, "its outlines or key points have a value that means nothing"),
    ],
)
def test_outlines_that_are_none(more: dict[str, Any], says: str) -> None:
    with pytest.raises(BadSample, match=says):
        store_objects(content(**more), (100, 50), (100, 50), classes=3)


def test_a_class_that_there_is_not() -> None:
    with pytest.raises(BadSample, match="an object of the class 2, and classes are 0 to 1"):
        store_objects(content(), (100, 50), (50, 25), classes=2)
