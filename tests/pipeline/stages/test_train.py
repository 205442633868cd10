import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from pipeline.base.errors import ZoetropeError
from pipeline.graph.plan import Context
from pipeline.graph.progress import Reporter
from pipeline.recipe import check, plain
from pipeline.shards.dataset import Dataset
from pipeline.stages.train import check_samples, describe, mlflow_key, outside, statistics_of
from tests.pipeline.stages.alone import a_context, said


def context(recipe: Any, folder: Path) -> Context:
    for name in ("out", "scratch"):
        (folder / name).mkdir(exist_ok=True)
    return Context(recipe, {}, folder / "out", folder / "scratch", "f" * 32, None, Reporter("train"), folder, {})


def starting_from(weights: str | None) -> dict[str, Any]:
    return {"model": {"kind": "resnet18", "weights": weights}, "loss": {"distill": None}, "store": "/no/store"}


def test_fewer_samples_than_a_batch_are_refused(make_recipe: Any, images: Dataset) -> None:
    check_samples(make_recipe("image", **{"train.batch_size": 26}), images)
    with pytest.raises(ZoetropeError, match=r"train.batch_size: a batch of 27 samples .* of 26 training samples"):
        check_samples(make_recipe("image", **{"train.batch_size": 27}), images)
    check_samples(make_recipe("image", **{"train.batch_size": 27, "train.keep_last": True}), images)


def test_what_is_measured_is_measured_once(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    told = a_context(make_recipe("image", **{"augment.mean": "measure"}), tmp_path)
    found = statistics_of(told, images)
    assert found is not None
    mean, std = ([round(number, 3) for number in found[key]] for key in ("mean", "std"))
    assert said(told) == [f"train: measured, augment.mean is {mean}, augment.std is {std}"]
    assert statistics_of(told, replace(images, splits={})) == found  # a later try reads nothing
    assert statistics_of(a_context(make_recipe("image"), tmp_path), images) is None


def test_a_training_keeps_its_mlflow_run_and_one_that_starts_over_gets_another(
    make_recipe: Any, tmp_path: Path
) -> None:
    before = context(make_recipe("image"), tmp_path)
    name = mlflow_key(before)
    assert name.startswith("f" * 32)
    assert mlflow_key(context(make_recipe("image"), tmp_path)) == name
    shutil.rmtree(before.scratch)  # as --rerun does
    assert mlflow_key(context(make_recipe("image"), tmp_path)) != name


@pytest.mark.parametrize("modality", ["image", "video"])
def test_what_a_training_is_described_with(
    make_recipe: Any, request: pytest.FixtureRequest, tmp_path: Path, modality: str
) -> None:
    recipe = make_recipe(modality)
    files = describe(context(recipe, tmp_path), request.getfixturevalue(modality + "s"))
    for name in ("figures/first_batch.png", "figures/learning_rate.png"):
        with Image.open(files[name]) as picture:
            assert min(picture.size) > 100
    written = check(yaml.safe_load(files["recipe.yaml"].read_text()), "written")
    assert plain(written) == plain(recipe)
    assert f"torch=={torch.__version__.partition('+')[0]}" in files["environment.txt"].read_text()


def test_weights_to_start_from_count_by_size_and_time(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"abc")
    before = outside(starting_from(str(weights)))
    assert before.startswith("3-")
    weights.write_bytes(b"abcd")
    assert outside(starting_from(str(weights))) != before


def test_urls_and_none_stand_for_themselves() -> None:
    assert outside(starting_from(None)) == outside(starting_from("hf://org/name/file")) == ""


def test_missing_weights_are_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"model\.weights: .*absent\.pth cannot be read: No such file"):
        outside(starting_from(str(tmp_path / "absent.pth")))


def test_an_entry_and_a_folder_are_of_a_file(tmp_path: Path) -> None:
    weights = tmp_path / "model" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"abc")
    alone = outside(starting_from(str(weights)))
    assert outside(starting_from(f"{weights}#ema")) == outside(starting_from(str(tmp_path))) == alone
    with pytest.raises(ZoetropeError, match=r"model\.weights: .*absent\.pth cannot be read: No such file"):
        outside(starting_from(str(tmp_path / "absent.pth#ema")))
