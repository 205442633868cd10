from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from augment.policy import load_policy, load_schedule
from pipeline.recipe import Recipe, RecipeError, load
from tests.conftest import Project
from tune.policy.run import search_policy

CROP: dict[str, Any] = {"CenterCrop": {"height": 16, "width": 16}}
FAST = {"kind": "fast", "folds": 2, "candidates": 3, "keep": 2, "sub_policies": 2, "samples": 8}


def recipe_for(project: Project, policy: dict[str, Any]) -> Recipe:
    import yaml

    values = yaml.safe_load(project.recipe.read_text())
    values["augment"]["train"] = [CROP, {"AutoAugment": {"policy": "svhn", "fill": [0, 0, 0]}}]
    values["tune"] = {"metric": "val/top1", "mode": "max", "policy": policy}
    project.recipe.write_text(yaml.safe_dump(values))
    return load(project.recipe)


def searched(recipe: Recipe, resume: bool = False) -> tuple[Path, str]:
    said = StringIO()
    assert recipe.tune is not None
    return search_policy(recipe, recipe.tune, Console(file=said, width=200), resume), said.getvalue()


@pytest.mark.slow
def test_fast(ray_of_two: None, make_project: Any) -> None:
    project = make_project("image", **{"train.duration": "1ep"})
    recipe = recipe_for(project, FAST)
    folder, said = searched(recipe)
    assert "fold 0: done" in said
    policy = load_policy(folder / "policy.yaml")
    assert 4 <= len(policy) <= 8
    found = load(folder / "best.yaml")
    assert found.tune is None
    crop, put = found.augment.train
    assert crop == CROP
    assert put["AutoAugment"]["fill"] == [0, 0, 0]
    assert load_policy(put["AutoAugment"]["policy"]) == policy
    assert (folder / "figures" / "policy.png").stat().st_size > 1000
    runs = {run.data.tags["zoetrope.role"]: run for run in project.mlflow_runs()}
    assert {run.info.status for run in project.mlflow_runs()} == {"FINISHED"}
    assert len(project.mlflow_runs()) == 3
    assert runs["trial"].data.tags["mlflow.parentRunId"] == runs["search"].info.run_id
    assert {"val/top1", "policy/best"} <= set(runs["trial"].data.metrics)

    # Killed after the first candidate of the second fold: the rest comes out as it would have.
    log = folder / "fold-1" / "candidates.jsonl"
    whole = log.read_text()
    assert len(whole.splitlines()) == FAST["candidates"]
    log.write_text(whole.splitlines(keepends=True)[0])
    (folder / "policy.yaml").unlink()
    again, _ = searched(recipe, resume=True)
    assert again == folder
    assert log.read_text() == whole
    assert load_policy(folder / "policy.yaml") == policy


@pytest.mark.slow
def test_randaugment(ray_of_two: None, make_project: Any) -> None:
    project = make_project("image", **{"train.duration": "1ep"})
    recipe = recipe_for(project, {"kind": "randaugment", "operations": [1, 2], "magnitude": [9]})
    folder, _ = searched(recipe)
    _, put = load(folder / "best.yaml").augment.train
    assert put["RandAugment"]["operations"] in (1, 2)
    assert put["RandAugment"]["fill"] == [0, 0, 0]
    assert (folder / "figures" / "policy.png").stat().st_size > 1000
    assert len(project.mlflow_runs()) == 3


@pytest.mark.slow
def test_autoaugment(ray_of_two: None, make_project: Any) -> None:
    project = make_project("image", **{"train.duration": "2ep"})
    policy = {"kind": "autoaugment", "candidates": 2, "keep": 2, "sub_policies": 1, "duration": "1ep"}
    folder, _ = searched(recipe_for(project, policy))
    found = load(folder / "best.yaml")
    assert str(found.train.duration) == "2ep", "the children's is shorter"
    assert 1 <= len(load_policy(folder / "policy.yaml")) <= 2
    assert load_policy(found.augment.train[1]["AutoAugment"]["policy"]) == load_policy(folder / "policy.yaml")
    assert len(project.mlflow_runs()) == 3


@pytest.mark.slow
def test_pba(ray_of_two: None, make_project: Any) -> None:
    project = make_project("image", **{"train.duration": "3ep"})
    folder, _ = searched(recipe_for(project, {"kind": "pba", "population": 2, "interval": "1ep"}))
    schedule = load_schedule(folder / "schedule.yaml")
    assert [len(steps) for _, steps in schedule] == [30] * len(schedule)
    put = load(folder / "best.yaml").augment.train[1]["PopulationBased"]
    assert load_schedule(put["schedule"]) == schedule
    assert put["fill"] == [0, 0, 0]
    assert (folder / "figures" / "policy.png").stat().st_size > 1000


def test_a_policy_and_a_space_are_two_searches(make_project: Any) -> None:
    project = make_project("image")
    with pytest.raises(RecipeError, match=r"tune\.policy\.candidats: unknown key .*candidates"):
        recipe_for(project, {"kind": "fast", "candidats": 3})
    with pytest.raises(RecipeError, match="randaugment"):
        recipe_for(project, {"kind": "quick"})
    recipe_for(project, FAST)
    with pytest.raises(RecipeError, match="leave `space`, `scheduler` and `search` out"):
        load(project.recipe, ["tune.space={optimizer.lr: 'uniform(0, 1)'}"])
    with pytest.raises(RecipeError, match="`fast` scores policies by top-1"):
        load(project.recipe, ["tune.metric=val/loss", "tune.mode=min"])
    with pytest.raises(RecipeError, match="there is nothing to search: write `space`"):
        load(project.recipe, ["tune.policy=null"])
