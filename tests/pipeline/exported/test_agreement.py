"""Differences with known answers."""

from typing import Any

import numpy as np
import pytest
import torch

from pipeline.base.errors import ZoetropeError
from pipeline.exported.agreement import batches, check, difference, worst_differences
from pipeline.exported.answering import exportable
from pipeline.exported.formats import run_module
from pipeline.training.step import Normalize
from tests.pipeline.exported.test_every_export import drawn, recipe_of, views_of


@pytest.mark.parametrize(
    ("right", "said", "expected"),
    [
        ([0.5, 0.25], [0.5, 0.75], 0.5),
        ([1.0, -4.0], [2.0, -4.0], 0.25),
        ([0.5, 0.5], [0.5, np.nan], np.inf),
        ([0.5, 0.5], [0.5], np.inf),
        ([], [], 0.0),
    ],
)
def test_a_difference(right: list[float], said: list[float], expected: float) -> None:
    assert difference(np.array(right), np.array(said)) == expected


def test_views_of_each_size_are_seen_alone_and_together() -> None:
    small, large = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 6, 3), np.uint8)
    views = [{"pixels": pixels} for pixels in (small, large, small, small)]
    shapes = [batch["pixels"].shape for batch in batches(views)]
    assert shapes == [(1, 4, 4, 3), (3, 4, 4, 3), (1, 4, 6, 3)]


def test_another_model_is_found_out() -> None:
    recipe = recipe_of({"kind": "resnet18"})
    model, task = drawn(recipe)
    given, views = exportable(recipe, model, task), [{"pixels": pixels} for pixels in views_of(recipe)]
    normalize = Normalize.of(recipe, torch.device("cpu"))

    def nearly(inputs: Any) -> list[np.ndarray]:
        return [output + np.float32(1e-3) for output in run_module(given.module)(inputs)]

    assert worst_differences(given, run_module(given.module), views, normalize) == {"scores": 0.0}
    worst = worst_differences(given, nearly, views, normalize)
    assert worst["scores"] == pytest.approx(1e-3, rel=1e-3)
    check(worst, 1e-2, "model.onnx")
    with pytest.raises(ZoetropeError, match=r"^model.onnx does not answer .* scores by 1.0e-03, and 1e-04 is allowed"):
        check(worst, 1e-4, "model.onnx")
    with pytest.raises(ZoetropeError, match="scores by nan"):
        check({"scores": float("nan")}, 1e-4, "model.onnx")
