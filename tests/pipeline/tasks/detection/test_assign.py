import numpy as np
import pytest

from pipeline.tasks.detection.assign import AREAS, ERRORS, IGNORED, RIGHT, anyhow, blame, coco, outside, overlaps, voc

NONE = np.zeros(0, np.uint8)


def judged(overlap: list[list[float]], crowd: list[int]) -> tuple[list, list]:
    """What is matched and what ignored at an IoU of 0.5 in all areas, of detections of 2,000 px2."""
    areas = [np.full(len(each), 2000.0) for each in (overlap, crowd)]
    found = coco(np.array(overlap), np.array(crowd), *areas)
    return found.matched[:, 0, 0].tolist(), found.ignored[:, 0, 0].tolist()


def test_overlaps_are_by_edges_and_of_a_crowd_what_lies_in_it() -> None:
    boxes = np.array([(0, 0, 10, 10), (20, 20, 30, 30), (5, 0, 5, 10)], np.float32)
    objects = np.array([(5, 0, 15, 10), (0, 0, 10, 40), (10, 0, 20, 10), (0, 0, 10, 40)], np.float32)
    expected = [[50 / 150, 100 / 400, 0.0, 1.0], [0.0] * 4, [0.0] * 4]
    assert overlaps(boxes, objects, np.array([0, 0, 0, 1])).tolist() == expected
    assert overlaps(boxes, objects[:2], np.array([2, 2]))[0].tolist() == expected[0][:2]  # ignored is no crowd
    assert overlaps(boxes, objects[:0], NONE).shape == (3, 0)


def test_both_ends_belong_to_a_range_of_areas() -> None:
    inside = ~outside(np.array([0, 32**2, 32**2 + 1, 96**2, 96**2 + 1]))
    small, medium, large = [1, 1, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 1, 1]
    assert inside.astype(int).tolist() == [[1] * 5, small, medium, large]


def test_an_object_is_found_once_by_the_first() -> None:
    assert judged([[0.6], [0.9]], [0]) == ([True, False], [False, False])


def test_the_best_free_object_is_taken_and_of_equals_the_last() -> None:
    # Were the first of the equal ones taken by the first detection, the second would find nothing.
    assert judged([[0.7, 0.7], [0.6, 0.0]], [0, 0]) == ([True, True], [False, False])
    assert judged([[0.8, 0.7], [0.6, 0.0]], [0, 0]) == ([True, False], [False, False])


def test_a_crowd_swallows_all_and_what_counts_comes_first() -> None:
    assert judged([[0.9], [0.8], [0.3]], [1]) == ([True, True, False], [True, True, False])
    assert judged([[0.9], [0.8]], [2]) == ([True, True], [True, True])
    # An overlap of 0.5 with an object that counts beats one of 0.9 with a crowd.
    assert judged([[0.9, 0.5], [0.9, 0.0]], [1, 0]) == ([True, True], [False, True])


def test_thresholds_and_sizes_are_judged_each_for_itself() -> None:
    found = coco(np.array([[0.72]]), np.array([0]), np.array([500.0]), np.array([5000.0]))
    assert found.matched[0, 0].tolist() == [True] * 5 + [False] * 5
    # Medium: found up to 0.7, and beyond a small detection is no error there. Small: the object does not count.
    assert found.ignored[0, AREAS.index("medium")].tolist() == [False] * 5 + [True] * 5
    assert found.matched[0, AREAS.index("small")].tolist() == [True] * 5 + [False] * 5
    assert found.ignored[0, AREAS.index("small")].tolist() == [True] * 5 + [False] * 5


@pytest.mark.parametrize(
    ("overlap", "crowd", "expected"),
    [
        ([[0.6], [0.9]], [0], [1, 0]),
        ([[0.5], [0.51]], [0], [0, 1]),  # more than one half
        ([[0.7, 0.6], [0.7, 0.6]], [0, 0], [1, 0]),  # no second choice
        ([[0.7], [0.6], [0.4]], [2], [2, 2, 0]),
        ([[0.7, 0.8]], [2, 0], [1]),
    ],
)
def test_voc_looks_at_the_most_overlapped_object_alone(overlap: list, crowd: list, expected: list) -> None:
    assert voc(np.array(overlap), np.array(crowd)).tolist() == expected


def test_voc_without_objects_or_detections() -> None:
    assert voc(np.zeros((2, 0)), NONE).tolist() == [0, 0]
    assert voc(np.zeros((0, 2)), np.zeros(2)).tolist() == []


def blamed(overlap: list[list[float]], same: list[list[int]], crowd: list[int]) -> tuple[list, list, list]:
    """Names of errors, the objects that are covered first, and what would be mended."""
    values, own, counted = np.array(overlap), np.array(same, bool), np.array(crowd) == 0
    found = coco(np.where(own, values, 0), np.array(crowd), np.full(len(values), 2000.0), np.full(len(crowd), 2000.0))
    names = {**dict(enumerate(ERRORS)), RIGHT: "right", IGNORED: "ignored"}
    error, covers, mends = blame(values, own, counted, found)
    return [names[int(each)] for each in error], covers.tolist(), mends.tolist()


def test_each_error_has_its_name() -> None:
    # Objects: a, found at last; b, of another class than any detection says.
    overlap = [[0.2, 0.0], [0.0, 0.8], [0.0, 0.3], [0.05, 0.05], [0.6, 0.0], [0.9, 0.0], [0.0, 0.9]]
    error, covers, mends = blamed(overlap, [[1, 0]] * 7, [0, 0])
    assert error == ["place", "class", "both", "background", "right", "duplicate", "class"]
    # The first to show a is misplaced, and would not be needed: a is found. b is shown by a wrong class alone.
    assert covers == [0, 1, -1, -1, -1, -1, -1]
    assert mends == [False, True, False, False, False, False, False]


def test_a_wrong_place_comes_before_a_wrong_class_and_crowds_are_no_objects() -> None:
    assert blamed([[0.2, 0.9]], [[1, 0]], [0, 0])[0] == ["place"]
    assert blamed([[0.9], [0.4]], [[1], [1]], [1])[0] == ["ignored", "background"]
    assert blamed([[0.9]], [[0]], [1])[0] == ["background"]
    nothing = np.zeros((1, 0))
    none = blame(nothing, nothing > 0, NONE == 0, coco(nothing, NONE, np.ones(1), np.zeros(0)))
    assert none.error.tolist() == [ERRORS.index("background")]


def test_anyhow_matches_whatever_the_class() -> None:
    counted = np.array([True, True, False])
    overlap = np.array([[0.6, 0.7, 0], [0.9, 0.8, 0], [0.9, 0.9, 0], [0, 0.4, 0.9], [0.1, 0.1, 0.1], [0, 0.9, 0.9]])
    # The best free one; none is left for the third; the fourth lies on what does not count, and so does the last.
    assert anyhow(overlap, counted).tolist() == [1, 0, -1, -2, -1, -2]
