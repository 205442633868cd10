"""A server's answers: a bad file costs its own row alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.exported.predictor import Predictor
from pipeline.exported.serving import serve
from pipeline.shards.dataset import Dataset
from tests.conftest import NO_IMAGE
from tests.pipeline.exported.untrained import exported_to


@pytest.fixture
def model(make_recipe: Any, images: Dataset, tmp_path: Path) -> Predictor:
    return Predictor(exported_to(tmp_path, make_recipe("image"), images), device="cpu")


def test_a_bad_file_costs_its_row_and_is_named(
    model: Predictor, validation_files: Callable[[str], list[bytes]]
) -> None:
    first, second, *_ = validation_files("image")
    table = serve(model, [(None, first), ("x.jpg", b"no"), (None, b"no"), ("y.jpg", second)])
    assert table["error"] == [None, f"x.jpg: {NO_IMAGE}", f"row 2: {NO_IMAGE}", None]
    assert table["score"] == [pytest.approx(float(model(first)["scores"].max())), None, None, table["score"][3]]
    assert list(table) == ["label", "score", "error"]
    assert serve(model, []) == {"label": [], "score": [], "error": []}


def test_top_and_the_cap_of_pixels_are_parameters(
    model: Predictor, validation_files: Callable[[str], list[bytes]]
) -> None:
    content = validation_files("image")[0]
    table = serve(model, [(None, content)], top=2)
    assert [len(labels) for labels in table["top_labels"]] == [2]
    assert table["top_labels"][0][0] == table["label"][0]
    table = serve(model, [(None, content)], max_pixels=479)
    assert table["error"] == ["row 0: 24 x 20 pixels are more than the 479 allowed"]
    assert serve(model, [(None, content)], max_pixels=480)["error"] == [None]
