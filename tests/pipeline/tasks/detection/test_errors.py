import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tasks.detection.assign import ERRORS, overlaps
from pipeline.tasks.detection.errors import MISSED, confusion, error_counts, gains
from pipeline.tasks.detection.precision import accumulate, class_precision, mean_known
from tests.pipeline.tasks.detection.cases import Arrays, Pairs, arrays, objects_of, pictures, rows_of

K = 3


def by_loops(answer: Arrays, truth: Arrays, threshold: float) -> dict[str, int]:
    """The errors of one picture as section 2.2 of the paper has them; no object is a crowd."""
    numbers = dict.fromkeys((*ERRORS, MISSED), 0)
    overlap = overlaps(answer["boxes"], truth["boxes"], truth["crowd"])
    taken: set[int] = set()
    shown: set[int] = set()
    for d in np.argsort(-answer["score"], kind="stable").tolist():
        if answer["score"][d] < threshold:
            continue
        own = [i for i, kind in enumerate(truth["kind"]) if kind == answer["kind"][d]]
        others = [i for i in range(len(truth["kind"])) if i not in own]
        free = [i for i in own if i not in taken and overlap[d, i] >= 0.5]
        most = max((overlap[d, i] for i in own), default=0.0)
        other = max((overlap[d, i] for i in others), default=0.0)
        if free:
            found = max(free, key=lambda i: (overlap[d, i], i))
            taken.add(found)
            shown.add(found)
        elif 0.1 <= most < 0.5:
            numbers["place"] += 1
            shown.add(max(own, key=lambda i: (overlap[d, i], -i)))
        elif other >= 0.5:
            numbers["class"] += 1
            shown.add(max(others, key=lambda i: (overlap[d, i], -i)))
        elif most >= 0.5:
            numbers["duplicate"] += 1
        else:
            numbers["background" if other < 0.1 else "both"] += 1
    return {**numbers, MISSED: len(truth["kind"]) - len(shown)}


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.3, 0.6]))
@settings(max_examples=20)
def test_errors_are_what_a_loop_says_of_the_detections_above_a_score(seed: int, threshold: float) -> None:
    pairs = [(answer, {**truth, "crowd": truth["crowd"] * 0}) for answer, truth in pictures(seed, 6, K)]
    expected = dict.fromkeys((*ERRORS, MISSED), 0)
    for pair in pairs:
        expected = {name: expected[name] + count for name, count in by_loops(*pair, threshold).items()}
    assert error_counts(rows_of(pairs), objects_of(pairs, K), threshold) == expected


def case() -> Pairs:
    """Four cats and a dog: found; taken for a dog; misplaced; missed; and the dog, found twice."""
    truth = arrays([(i * 100, 0, i * 100 + 40, 40) for i in range(5)], kind=[0, 0, 0, 0, 1])
    boxes = [(0, 0, 40, 40), (100, 0, 140, 40), (200, 0, 210, 40), (400, 0, 440, 40), (400, 0, 440, 38), (0, 90, 9, 99)]
    return [(arrays(boxes, kind=[0, 1, 0, 1, 1, 1], score=[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), truth)]


def test_gains_by_hand() -> None:
    rows, objects = rows_of(case()), objects_of(case(), 3)
    now = mean_known(class_precision(accumulate(rows, objects), 0.5))
    assert now == pytest.approx((26 / 101 + 1 / 2) / 2)  # one cat of four; the dog behind a wrong one
    found = gains(rows, objects)
    assert found == pytest.approx(
        {
            "class": (51 / 101 + 1) / 2 - now,  # a second cat, and nothing before the dog
            "place": (51 / 101 + 1 / 2) / 2 - now,
            "both": 0,
            "duplicate": 0,  # behind the last dog
            "background": 0,
            "missed": ((34 / 101) + 1 / 2) / 2 - now,  # one cat of three
        }
    )
    assert error_counts(rows, objects, 0) == {
        **{"class": 1, "place": 1, "both": 0, "duplicate": 1, "background": 1},
        "missed": 1,
    }


def test_without_anything_nothing_is_gained() -> None:
    none = [(arrays([], kind=[], score=[]), arrays())]
    assert set(gains(rows_of(none), objects_of(none, K)).values()) == {0.0}
    assert confusion(rows_of(none), objects_of(none, K), 0).sum() == 0


def test_a_confusion_by_hand() -> None:
    matrix = confusion(rows_of(case()), objects_of(case(), 3), 0.0)
    # Rows: cat, dog, a third class, background. Misplaced is as good as missed, and a detection of background.
    assert matrix.tolist() == [[1, 1, 0, 2], [0, 1, 0, 0], [0, 0, 0, 0], [1, 2, 0, 0]]
    assert confusion(rows_of(case()), objects_of(case(), 3), 0.85)[:2].tolist() == [[1, 0, 0, 3], [0, 0, 0, 1]]


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.5]))
@settings(max_examples=10)
def test_a_confusion_counts_each_object_once(seed: int, threshold: float) -> None:
    pairs = pictures(seed, 6, K)
    objects = objects_of(pairs, K)
    matrix = confusion(rows_of(pairs), objects, threshold)
    assert matrix[:K].sum(1).tolist() == objects[:, 0].tolist()
    assert matrix.min() >= 0
    assert matrix[K, K] == 0
