"""A model to ask from Python: one file or several, by path, content or pixels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.exported.model import Model, load_model
from pipeline.exported.predictions import Prediction
from pipeline.shards.dataset import Dataset
from tests.conftest import NO_IMAGE, picture
from tests.pipeline.exported.untrained import exported_to


@pytest.fixture
def model(make_recipe: Any, images: Dataset, tmp_path: Path) -> Model:
    return load_model(str(exported_to(tmp_path / "a", make_recipe("image"), images)), device="cpu")


def test_one_is_answered_or_raises(
    model: Model, validation_files: Callable[[str], list[bytes]], tmp_path: Path
) -> None:
    content, path = validation_files("image")[0], tmp_path / "x.jpg"
    path.write_bytes(content)
    assert model.classes == ["blue", "green", "red"]
    by_path = model.predict(path)
    assert (by_path.file, by_path.error) == (str(path), None)
    assert by_path.answer == model.predict(str(path)).answer == model.predict(content).answer
    assert model.predict(picture(0, 5)).answer["label"] in model.classes
    with pytest.raises(ZoetropeError, match="its content is no image"):
        model.predict(b"no")
    with pytest.raises(ZoetropeError, match="No such file"):
        model.predict(tmp_path / "none.jpg")


def test_several_each_have_an_answer_or_an_error(model: Model) -> None:
    good, bad = model.predict([picture(0, 5), b"no"], top=2)
    assert bad == Prediction("", error=NO_IMAGE)
    assert len(good.answer["top_labels"]) == 2
    assert model.predict([]) == []


def test_a_stream_of_what_is_named(
    model: Model, validation_files: Callable[[str], list[bytes]], tmp_path: Path
) -> None:
    for i, content in enumerate(validation_files("image")):
        (tmp_path / f"{i}.jpg").write_bytes(content)
    found = list(model.stream(f"{tmp_path}/*.jpg", workers=0))
    assert [each.file for each in found] == [f"{tmp_path}/{i}.jpg" for i in range(7)]
    assert [each.answer for each in found] == [each.answer for each in model.predict(validation_files("image"))]


def test_several_models(make_recipe: Any, images: Dataset, model: Model, tmp_path: Path) -> None:
    other = exported_to(tmp_path / "b", make_recipe("image"), images, seed=4)
    both = load_model(str(tmp_path / "a" / "model"), str(other), device="cpu")
    alone = [each.predict(picture(0, 5), top=3).answer for each in (model, load_model(str(other), device="cpu"))]
    pairs = [dict(zip(each["top_labels"], each["top_scores"], strict=True)) for each in alone]
    found = both.predict(picture(0, 5), top=3).answer
    mean = [sum(pair[label] for pair in pairs) / 2 for label in found["top_labels"]]
    assert found["top_scores"] == pytest.approx(mean, abs=1e-6)
