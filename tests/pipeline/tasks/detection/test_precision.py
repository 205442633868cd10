import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tasks.detection.precision import (
    COCO_NAMES,
    accumulate,
    class_precision,
    coco_numbers,
    ranks,
    unmeasured,
)
from tests.pipeline.tasks.detection.cases import Pairs, arrays, by_pycocotools, objects_of, pictures, rows_of

K = 4


def assert_as_pycocotools(pairs: Pairs, num_classes: int = K) -> None:
    theirs = by_pycocotools(pairs, num_classes)
    objects = objects_of(pairs, num_classes)
    ours = accumulate(rows_of(pairs, most=max(100, *(len(answer["kind"]) for answer, _ in pairs))), objects)
    assert ours.precision.tobytes() == theirs.eval["precision"].tobytes()
    assert ours.recall.tobytes() == theirs.eval["recall"].tobytes()
    expected = np.where(theirs.stats == -1, 0, theirs.stats)
    assert list(coco_numbers(ours).values()) == expected.tolist()


@given(st.integers(0, 2**32), st.booleans())
@settings(max_examples=30)
def test_every_bit_is_pycocotools_own(seed: int, ties: bool) -> None:
    assert_as_pycocotools(
        [*pictures(seed, 12, K, ties=ties), (arrays([(0, 0, 9, 9)], kind=[0], score=[0.5]), arrays())]
    )


def test_more_detections_than_count_change_nothing() -> None:
    assert_as_pycocotools(pictures(3, 3, 2, most=400, objects=20), 2)


def test_rows_of_two_ranks_give_the_same_bits() -> None:
    pairs = pictures(5, 31, K)
    whole = accumulate(rows_of(pairs), objects_of(pairs, K))
    # Rank r measures samples r, r + 2, ...; rows are laid back by sample.
    parts = [rows_of(pairs[rank::2]) for rank in range(2)]
    number = np.argsort(np.concatenate([np.arange(len(pairs))[rank::2] for rank in range(2)]), kind="stable")
    rows = {name: np.concatenate([part[name] for part in parts])[number] for name in parts[0]}
    objects = objects_of(pairs[::2], K) + objects_of(pairs[1::2], K)
    cut = accumulate(rows, objects)
    assert [one.tobytes() for one in cut] == [one.tobytes() for one in whole]


def test_a_known_precision_by_hand() -> None:
    # Class 0: two objects; the first detection is right, the second wrong, the third right: at recalls up to one half
    # precision is 1, beyond 2/3. Class 1 has no object, class 2 one that nobody finds.
    truth = arrays([(0, 0, 10, 10), (20, 20, 30, 30), (50, 50, 60, 60)], kind=[0, 0, 2])
    boxes = [(0, 0, 10, 10), (70, 70, 80, 80), (20, 20, 30, 30), (0, 0, 10, 10)]
    pairs = [(arrays(boxes, kind=[0, 0, 0, 1], score=[0.9, 0.8, 0.7, 0.6]), truth)]
    objects = objects_of(pairs, 3)
    found = accumulate(rows_of(pairs), objects)
    expected = (51 * 1 + 50 * 2 / 3) / 101
    assert class_precision(found) == pytest.approx([expected, -1, 0])
    assert class_precision(found, 0.75) == pytest.approx([expected, -1, 0])
    assert class_precision(found, area="medium").tolist() == [-1, -1, -1]
    numbers = coco_numbers(found)
    assert tuple(numbers) == COCO_NAMES
    assert numbers["AP"] == numbers["AP50"] == numbers["AP75"] == numbers["AP_small"] == pytest.approx(expected / 2)
    assert (numbers["AR_1"], numbers["AR_10"], numbers["AR_100"]) == (0.25, 0.5, 0.5)
    assert (numbers["AP_large"], numbers["AR_medium"]) == (0, 0)
    assert unmeasured(objects, ("cat", "dog", "eel")) == [
        "means leave out what the split lacks: dog",
        "the split has no medium or large objects: their AP and AR stand as 0 and are not measured",
    ]


def test_without_any_object_or_detection_nothing_is_measured() -> None:
    none = [(arrays([], kind=[], score=[]), arrays())]
    assert set(coco_numbers(accumulate(rows_of(none), objects_of(none, K))).values()) == {0.0}
    said = unmeasured(np.zeros((2, 4), int), ("cat", "dog"))
    assert said == ["means leave out what the split lacks: cat, dog"]


def test_ranks_count_those_of_the_same_class_before() -> None:
    kind = np.array([[2, 0, 2, 2, -1], [1, 1, 0, -1, -1]])
    assert ranks(kind)[:, :3].tolist() == [[0, 0, 1], [0, 1, 0]]
    assert ranks(kind)[0, 3] == 2
