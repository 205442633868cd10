import numpy as np

from pipeline.tasks.classification.confusion import count_pairs, dense, most_confused, table

LABELS, PREDICTED = np.array([3, 0, 3, 1, 3, 0, 2]), np.array([1, 0, 1, 2, 3, 0, 2])


def test_pairs_are_counted_the_most_frequent_first() -> None:
    pairs = count_pairs(LABELS, PREDICTED, 4)
    assert [one.tolist() for one in pairs] == [[0, 3, 1, 2, 3], [0, 1, 2, 2, 3], [2, 2, 1, 1, 1]]
    assert dense(pairs, np.arange(4)).tolist() == [[2, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 2, 0, 1]]
    assert dense(pairs, np.array([1, 3])).tolist() == [[0, 0], [2, 1]]


def test_the_most_confused_classes_are_those_of_the_most_frequent_errors() -> None:
    pairs = count_pairs(LABELS, PREDICTED, 6)
    assert most_confused(pairs, 6, 2).tolist() == [1, 3]
    assert most_confused(pairs, 6, 3).tolist() == [1, 2, 3]
    assert most_confused(pairs, 6, 5).tolist() == [0, 1, 2, 3, 4]  # who else is there
    assert most_confused(count_pairs(LABELS, LABELS, 6), 6, 2).tolist() == [0, 1]


def test_a_table_of_many_classes_lists_pairs() -> None:
    names = [f"c{i}" for i in range(401)]
    header, rows = table(count_pairs(LABELS, PREDICTED, 401), names)
    assert header == ("class", "predicted", "count")
    assert list(rows) == [("c0", "c0", 2), ("c3", "c1", 2), ("c1", "c2", 1), ("c2", "c2", 1), ("c3", "c3", 1)]
    header, rows = table(count_pairs(LABELS, PREDICTED, 400), names[:400])
    assert header == ("class \\ predicted", *names[:400])
    assert [list(row)[:5] for row in rows][:4] == [
        ["c0", 2, 0, 0, 0], ["c1", 0, 0, 1, 0], ["c2", 0, 0, 1, 0], ["c3", 0, 2, 0, 1],
    ]  # fmt: skip
