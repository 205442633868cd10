"""The verb `preview`: from a folder of files before anything has run, and from the shards afterwards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.base.errors import ZoetropeError
from pipeline.recipe import load
from pipeline.shards.reader import ShardReader
from pipeline.verbs.preview import preview, preview_lr, some_samples
from tests.pipeline.stores import quickstart


@pytest.mark.parametrize("modality", ["image", "video"])
def test_samples_of_a_folder(make_project: Callable[..., Any], tmp_path: Path, modality: str) -> None:
    project = make_project(modality)
    bad = next((project.folder / "data" / "train").glob("*/*"))
    bad.write_bytes(b"nothing")
    recipe = load(project.recipe, [f"store={tmp_path / 'runs'}"])
    dataset = some_samples(recipe, tmp_path / "some")
    assert dataset.classes == ("blue", "green", "red")
    assert dataset.split("train").samples == 25
    assert ShardReader(dataset.files, "train").read(0, 0).label in (0, 1, 2)
    assert preview(recipe, tmp_path / "out.png").startswith("some samples of the source")
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.width == 1800
    assert not list(tmp_path.glob("runs/artifacts/*"))


def test_samples_of_a_drawing_source(tmp_path: Path) -> None:
    for name in ("quickstart", "quickstart-images"):
        preview(quickstart(tmp_path / "runs", name=name), tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5000


def test_the_learning_rate_before_and_after_sharding(make_project: Callable[..., Any], tmp_path: Path) -> None:
    project = make_project("image", **{"train.duration": "10ep"})
    recipe = load(project.recipe, [f"store={tmp_path / 'runs'}"])
    said = preview_lr(recipe, tmp_path / "lr.png")
    assert said.startswith("the learning rate of 30 steps, 3 an epoch; its peak is 0.05")
    with Image.open(tmp_path / "lr.png") as picture:
        assert picture.width > 500
    drawn = quickstart(tmp_path / "runs", "train.duration=2ep")
    assert preview_lr(drawn, tmp_path / "lr.png").startswith("the learning rate of 60 steps, 30 an epoch; its peak is")


@pytest.mark.parametrize("draw", [preview, preview_lr])
def test_of_tars_it_is_said_when(make_project: Callable[..., Any], tmp_path: Path, draw: Any) -> None:
    (tmp_path / "a.tar").write_bytes(bytes(1024))
    source = f"data.source={{kind: webdataset, urls: {tmp_path / 'a.tar'}}}"
    with pytest.raises(ZoetropeError, match="what tars hold is known once they are read: start `run`"):
        draw(load(make_project("image").recipe, [source, f"store={tmp_path}"]), tmp_path / "out.png")


def test_a_source_of_unreadable_files_is_told(make_project: Callable[..., Any], tmp_path: Path) -> None:
    project = make_project("image")
    for path in (project.folder / "data" / "train").glob("*/*"):
        path.write_bytes(b"nothing")
    with pytest.raises(ZoetropeError, match=r"none of the source's first samples can be read; the last one is .*jpg: "):
        preview(load(project.recipe), tmp_path / "out.png")


@pytest.mark.slow
def test_after_a_run_its_own_samples_are_shown_and_they_are_in_mlflow(make_project: Callable[..., Any]) -> None:
    changes = {"train.duration": "1ep", "mixing": {"kind": "cutmix"}, "loss.class_weights": "balanced"}
    project = make_project("image", **changes)
    project.run()
    shown = project.folder / "shown.png"
    assert "shows the first samples of the training" in project.run("--out", str(shown), verb="preview")
    (run,) = project.mlflow_runs()
    figures = [file.path for file in project.mlflow.list_artifacts(run.info.run_id, "figures")]
    assert "figures/first_batch.png" in figures
    drawn = project.artifact("train") / "figures" / "first_batch.png"
    assert drawn.read_bytes() == shown.read_bytes()
    again = ["name=student", f"loss.distill.teacher={next((project.store / 'runs').iterdir()).name}"]
    assert "made" in project.run(*again)
