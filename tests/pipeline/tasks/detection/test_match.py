import numpy as np
import pytest

from pipeline.tasks.detection.assign import ERRORS, RIGHT
from pipeline.tasks.detection.match import count_objects, match, unpacked
from tests.pipeline.tasks.detection.cases import arrays

EMPTY = {
    "score": 0,
    "kind": -1,
    "matched": 0,
    "ignored": 0,
    "voc": 0,
    "error": 0,
    "covers": -1,
    "mends": 0,
    "meets": -1,
}


def test_a_row_of_a_picture_by_hand() -> None:
    # Two cats (class 0) and a dog (class 2) that does not count. Said, in this order: a dog on the second cat, nothing,
    # the first cat twice, with equal scores, and the dog that does not count.
    truth = arrays([(0, 0, 40, 40), (100, 0, 140, 40), (200, 0, 240, 40)], kind=[0, 0, 2], crowd=[0, 0, 2])
    boxes = [(100, 0, 140, 38), (0, 0, 9, 9), (0, 0, 40, 30), (0, 0, 40, 40), (200, 0, 240, 40)]
    row = match(arrays(boxes, kind=[2, -1, 0, 0, 2], score=[0.3, 0.9, 0.8, 0.8, 0.5]), truth, most=6)
    half = np.array([0.8, 0.8, 0.5, 0.3, 0, 0], np.float32)
    assert row["score"].tolist() == half.tolist()
    assert row["kind"].tolist() == [0, 0, 2, 2, -1, -1]
    # IoU of the first is 0.75: of ten thresholds the lower six; the second finds the object at the others.
    assert row["matched"][:3, 0].tolist() == [0b0000111111, 0b1111000000, 0b1111111111]
    assert row["ignored"][:4, 0].tolist() == [0, 0, 0b1111111111, 0]
    # 1,200 px2, 1,600 px2: medium. Of small ones nothing counts, and what is not matched is out of the range.
    assert row["ignored"][:2, 1].tolist() == [0b1111111111, 0b1111111111]
    assert row["ignored"][:2, 2].tolist() == [0, 0]
    assert row["voc"].tolist() == [1, 0, 2, 0, 0, 0]
    assert row["error"][:2].tolist() == [RIGHT, ERRORS.index("duplicate")]
    assert row["error"][3] == ERRORS.index("class")
    assert row["covers"].tolist() == [0, -1, -1, 0, -1, -1]
    assert row["mends"].tolist() == [False, False, False, True, False, False]
    assert row["meets"].tolist() == [0, -1, -2, 0, -1, -1]
    assert row["objects"] == 2
    assert {name: row[name][5].tolist() for name in EMPTY} == {
        name: [value] * 4 if name in ("matched", "ignored") else value for name, value in EMPTY.items()
    }


@pytest.mark.parametrize("detections", [0, 3])
@pytest.mark.parametrize("objects", [0, 2])
def test_every_row_has_the_same_layout(detections: int, objects: int) -> None:
    answer = arrays([(0, 0, 9, 9)] * detections, kind=[0] * detections, score=[0.5] * detections)
    row = match(answer, arrays([(0, 0, 9, 9)] * objects, kind=[0] * objects), most=2)
    other = match(arrays([], kind=[], score=[]), arrays(), most=2)
    assert {name: (value.dtype, value.shape) for name, value in row.items()} == {
        name: (value.dtype, value.shape) for name, value in other.items()
    }
    assert (row["kind"] >= 0).sum() == min(detections, 2)


def test_empty_places_of_a_batch_are_no_objects() -> None:
    truth = arrays([(0, 0, 9, 9), (0, 0, 0, 0)], kind=[1, -1])
    answer = arrays([(0, 0, 9, 9), (0, 0, 0, 0)], kind=[1, -1], score=[0.5, 0])
    row = match(answer, truth)
    assert row["objects"] == 1
    assert unpacked(row["matched"]).sum() == 1
    assert count_objects(truth, 3).tolist() == [[0] * 4, [1, 1, 0, 0], [0] * 4]


def test_objects_are_counted_by_class_and_the_area_that_the_data_says() -> None:
    truth = arrays([(0, 0, 99, 99)] * 4, kind=[0, 0, 2, 2], crowd=[0, 0, 0, 1], area=[32**2, 5000, 9300, 1])
    assert count_objects(truth, 3).tolist() == [[2, 1, 2, 0], [0, 0, 0, 0], [1, 0, 0, 1]]
