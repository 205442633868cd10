from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tasks.detection.assign import overlaps
from pipeline.tasks.detection.voc import average_precision
from tests.pipeline.tasks.detection.cases import Pairs, arrays, objects_of, pictures, rows_of

K = 3


def by_loops(pairs: Pairs, k: int) -> tuple[float, float]:
    """One class, as the development kit goes through all detections: of 2007, and the area."""
    said = [
        (-float(score), i, d)
        for i, (answer, _) in enumerate(pairs)
        for d, (score, kind) in enumerate(zip(answer["score"], answer["kind"], strict=True))
        if kind == k
    ]
    total = sum(int(((truth["kind"] == k) & (truth["crowd"] == 0)).sum()) for _, truth in pairs)
    if not total:
        return -1, -1
    taken: set[tuple[int, int]] = set()
    right, wrong, curve = 0, 0, [(0.0, 0.0)]
    for _, i, d in sorted(said):
        answer, truth = pairs[i]
        own = np.flatnonzero(truth["kind"] == k)
        overlap = overlaps(answer["boxes"][[d]], truth["boxes"][own], truth["crowd"][own])[0]
        best = int(own[overlap.argmax()]) if len(own) else -1
        if len(own) and overlap.max() > 0.5:
            if truth["crowd"][best]:
                continue
            first = (i, best) not in taken
            taken.add((i, best))
            right, wrong = right + first, wrong + (not first)
        else:
            wrong += 1
        curve.append((right / total, right / (right + wrong)))
    eleven = [max([p for r, p in curve if r >= t], default=0.0) for t in np.arange(0, 1.1, 0.1)]
    recalls = sorted({r for r, _ in curve})
    area = sum((b - a) * max(p for r, p in curve if r >= b) for a, b in pairwise(recalls))
    return float(np.mean(eleven)), area


@given(st.integers(0, 2**32))
@settings(max_examples=10)
def test_both_are_what_a_loop_over_all_detections_says(seed: int) -> None:
    pairs = pictures(seed, 8, K)
    found = average_precision(rows_of(pairs), objects_of(pairs, K))
    np.testing.assert_allclose(found.T, [by_loops(pairs, k) for k in range(K)], atol=1e-12)


def test_known_answers() -> None:
    # Two objects: right, wrong, right. Precision 1 up to a recall of one half, and 2/3 beyond.
    truth = arrays([(0, 0, 10, 10), (20, 20, 30, 30)], kind=[0, 0])
    boxes = [(0, 0, 10, 10), (70, 70, 80, 80), (20, 20, 30, 30)]
    pairs = [(arrays(boxes, kind=[0] * 3, score=[0.9, 0.8, 0.7]), truth)]
    eleven, area = average_precision(rows_of(pairs), objects_of(pairs, 2))
    assert eleven.tolist() == pytest.approx([(6 + 5 * 2 / 3) / 11, -1])
    assert area.tolist() == pytest.approx([(1 + 2 / 3) / 2, -1])
