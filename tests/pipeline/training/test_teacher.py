"""Which model a teacher's name or path means, and that its content counts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.graph.plan import planned_stages
from pipeline.stages.train import outside
from pipeline.training.model_folder import FILES
from pipeline.training.teacher import WITHIN, digest, find_teacher
from pipeline.verbs.planning import make_plan
from tests.pipeline.stores import publish_until, quickstart


def model_in(folder: Path, content: str = "weights") -> Path:
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize("within", WITHIN)
def test_a_path(tmp_path: Path, within: str) -> None:
    folder = model_in(tmp_path / "given" / within)
    assert find_teacher(f"{tmp_path}/given", "/no/store") == folder


def test_a_run_by_its_name(tmp_path: Path) -> None:
    recipe = quickstart(tmp_path / "store")
    store = publish_until(recipe, "export")
    export = store.artifacts("export")[0]
    with store.work("export", export["fingerprint"]) as work:
        model_in(work.out / "model")
        artifact = store.publish(work, export, replace=True)
    folder = artifact.path / "model"
    planned, _ = make_plan(recipe)
    run = store.record_run("first", {}, planned_stages(planned.steps))
    teachers = (run.folder.name, str(folder), str(artifact.path))
    assert [find_teacher(teacher, store.url) for teacher in teachers] == [folder] * 3
    (folder / "model.safetensors").write_text("Weights")  # as long as before
    for teacher in teachers:
        with pytest.raises(
            ZoetropeError, match=r"model\.safetensors: this file is damaged.* --rerun export` makes it again"
        ):
            find_teacher(teacher, store.url)


@pytest.mark.parametrize(
    ("teacher", "says"),
    [
        (
            "./nowhere",
            r"loss.distill.teacher: nowhere holds no exported model \(model.safetensors, .* or the name of a",
        ),
        ("first", r"loss.distill.teacher: there is no run in .*store; a path has a `/` in it, as in ./first"),
    ],
)
def test_what_is_not_there_is_told(tmp_path: Path, teacher: str, says: str) -> None:
    with pytest.raises(ZoetropeError, match=says):
        find_teacher(teacher, str(tmp_path / "store"))


def test_a_run_that_is_not_there_or_made_no_model_is_told(tmp_path: Path) -> None:
    store = publish_until(quickstart(tmp_path), "train")
    run = store.record_run("first", {}, {})
    with pytest.raises(ZoetropeError, match="unknown run 'frist'; known are: first-"):
        find_teacher("frist", store.url)
    with pytest.raises(ZoetropeError, match=f"the run {run.folder.name} has no exported model"):
        find_teacher(run.folder.name, store.url)


def test_its_content_counts_for_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_in(tmp_path / "teacher")
    values: dict[str, Any] = {
        "model": {"weights": None},
        "loss": {"distill": {"teacher": str(folder)}},
        "store": "/no/store",
    }
    before = outside(values)
    assert before == digest(folder)
    (folder / "classes.json").write_text("other")
    assert outside(values) != before


def test_a_missing_teacher_is_told_by_the_plan(tmp_path: Path, make_recipe: Callable[..., Any]) -> None:
    recipe = quickstart(tmp_path, f"loss.distill.teacher={tmp_path}/absent")
    with pytest.raises(ZoetropeError, match="absent holds no exported model"):
        make_plan(recipe)
