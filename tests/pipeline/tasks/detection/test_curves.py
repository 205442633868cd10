import numpy as np
import pytest

from pipeline.tasks.detection.curves import THRESHOLDS, best, best_thresholds, counts, curves, picture_f1
from tests.pipeline.tasks.detection.cases import arrays, objects_of, pictures, rows_of

K = 3


@pytest.mark.parametrize("ties", [True, False])
def test_counts_are_what_a_loop_over_thresholds_says(ties: bool) -> None:
    rows = rows_of(pictures(1, 12, K, ties=ties))
    right, said = counts(rows, K)
    for s in range(0, len(THRESHOLDS), 125):
        for k in range(K):
            chosen = (rows["kind"] == k) & (rows["score"] >= float(THRESHOLDS[s])) & (rows["ignored"][..., 0] & 1 == 0)
            assert said[k, s] == chosen.sum()
            assert right[k, s] == (chosen & (rows["matched"][..., 0] & 1 == 1)).sum()


def test_f1_has_its_best_threshold_in_the_middle_of_where_it_is_best() -> None:
    # Two objects: right at 0.9, wrong at 0.5, right at 0.3. F1 is 2/3 above 0.5, 1/2 above 0.3, and 4/5 below.
    truth = arrays([(0, 0, 10, 10), (20, 20, 30, 30)], kind=[0, 0])
    boxes = [(0, 0, 10, 10), (70, 70, 80, 80), (20, 20, 30, 30)]
    pairs = [(arrays(boxes, kind=[0] * 3, score=[0.9, 0.5, 0.3]), truth)]
    rows, objects = rows_of(pairs), objects_of(pairs, 2)
    found = curves(*counts(rows, 2), objects[:, 0])
    assert found.f1[0, [0, 300, 301, 500, 501, 900, 901]] == pytest.approx(
        [4 / 5, 4 / 5, 1 / 2, 1 / 2, 2 / 3, 2 / 3, 0]
    )
    assert found.precision[0, [0, 400, 600]] == pytest.approx([2 / 3, 1 / 2, 1])
    assert found.recall[0, [0, 400, 600]].tolist() == [1, 0.5, 0.5]
    assert THRESHOLDS[best(found.f1[0])] == 0.15
    assert best(np.ones(5)) == 0  # never lower: as good from the first on
    assert best_thresholds(found, 0.7).tolist() == [0.15, 0.7]  # of the second class nothing is right
    assert picture_f1(rows, 0.4).tolist() == [0.5]


def test_a_picture_without_objects_is_right_where_nothing_is_said() -> None:
    rows = rows_of([(arrays([(0, 0, 9, 9)], kind=[0], score=[0.5]), arrays())])
    assert picture_f1(rows, 0.6).tolist() == [1]
    assert picture_f1(rows, 0.5).tolist() == [0]
