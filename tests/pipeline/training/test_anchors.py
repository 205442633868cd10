from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.training.anchors import asked, clusters, measured, reached
from pipeline.training.statistics import measured as statistics
from pipeline.training.statistics import with_statistics, words
from tests.pipeline.tasks.detection.boxed import write_boxed
from tests.pipeline.training.test_loop import BOXES

ASKED = {**BOXES, "model": {"kind": "yolov5n", "anchors": "measure"}}


def nothing(*_: Any) -> None:
    pass


def test_clusters_by_hand() -> None:
    """Two heaps: an anchor is the geometric mean of its own, and the smaller one comes first."""
    heaps = np.array([[10.0, 40], [40, 10], [400, 100], [400, 400]])
    np.testing.assert_allclose(clusters(heaps, 2), [[20, 20], [400, 200]])
    assert clusters(heaps[:1], 9).tolist() == pytest.approx(np.tile(heaps[:1], (9, 1)))


def test_reach_is_a_factor_below_four() -> None:
    sizes = np.array([[10.0, 10], [39, 10], [40, 10], [10, 2.5]])
    assert reached(sizes, np.array([[10.0, 10]])) == 0.5


def test_anchors_are_those_of_the_objects_as_an_evaluation_sees_them(make_recipe: Any, tmp_path: Path) -> None:
    """The pictures of 64 x 48 px, whose rectangles are 10 to 16 wide and 12 to 23 high, become 64 x 64."""
    recipe, dataset = make_recipe("image", **ASKED), write_boxed(tmp_path)
    assert asked(recipe)
    found = measured(recipe, dataset, nothing)
    sides = np.array(found).reshape(9, 2)
    assert np.array(found).shape == (3, 3, 2)
    assert (np.diff(sides.prod(1)) > 0).all()
    assert sides.min(0).tolist() >= [10, 16]
    assert sides.max(0).tolist() <= [16, 31]
    together = statistics(recipe, dataset, nothing)
    assert together == {"anchors": found}
    assert words(together) == f"model.anchors is {found}"
    made = with_statistics(recipe, together)
    assert not asked(made)
    assert made.model.anchors[0][0] == tuple(found[0][0])
    assert made.model.build(3).anchors.tolist() == pytest.approx(np.array(found))


def test_without_objects_there_are_no_anchors(make_recipe: Any, tmp_path: Path, damaged: Any) -> None:
    dataset = damaged(write_boxed(tmp_path, 2, 1), "train", {i: lambda data: bytes(len(data)) for i in range(2)})
    with pytest.raises(ZoetropeError, match=r"model\.anchors: measure: no training sample has an object"):
        measured(make_recipe("image", **ASKED), dataset, nothing)
