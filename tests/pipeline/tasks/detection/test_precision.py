import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tasks.detection.precision import (
    accumulate,
    coco_numbers,
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
@settings(max_examples=40)
def test_every_bit_is_pycocotools_own(seed: int, ties: bool) -> None:
    assert_as_pycocotools(
        [*pictures(seed, 12, K, ties=ties), (arrays([(0, 0, 9, 9)], kind=[0], score=[0.5]), arrays())]
    )


def test_more_detections_than_count_change_nothing() -> None:
    assert_as_pycocotools(pictures(3, 3, 2, most=400, objects=20), 2)
