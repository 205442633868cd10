"""Whole searches with tiny budgets, on one Ray, each trial a real training."""

import copy
import csv
import io
import json
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from pipeline.base.errors import ZoetropeError
from pipeline.recipe import Recipe, load, plain
from pipeline.training import checkpoint
from tests.conftest import Project
from tests.tune.hooks import before_reports
from tune.journal import EVENTS
from tune.result import SearchResult
from tune.search import search
from tune.search_folder import about
from tune.search_report import show
from tune.trial import Job, run_trial

pytestmark = pytest.mark.slow
TUNE: dict[str, Any] = {
    "metric": "val/loss",
    "mode": "min",
    "samples": 2,
    "space": {"optimizer.lr": "loguniform(0.01, 0.1)"},
}


@pytest.fixture(scope="module")
def project(make_project: Callable[..., Project]) -> Project:
    """Data and a store that all searches here share."""
    return make_project("image", **{"train.duration": "2ep"})


@pytest.fixture
def find(project: Project, ray_of_two: None) -> Callable[..., SearchResult]:
    """Search with a section `tune` changed, and recipe keys besides."""

    def find(name: str, resume: bool = False, overrides: tuple[str, ...] = (), **changes: Any) -> SearchResult:
        return search(recipe_of(project, (f"name={name}", *overrides), **changes), console(), resume)

    return find


def recipe_of(project: Project, overrides: tuple[str, ...] = (), **changes: Any) -> Recipe:
    values = yaml.safe_load(project.recipe.read_text()) | {"tune": {**TUNE, **changes}}
    path = project.folder / f"tune-{time.monotonic_ns()}.yaml"
    path.write_text(yaml.safe_dump(values))
    return load(path, overrides)


def console() -> Console:
    return Console(file=io.StringIO(), width=160)


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / EVENTS).read_text().splitlines()]


def test_the_best_recipe_trains_to_the_value_that_its_trial_had(find: Any, project: Project) -> None:
    """Bit for bit: a trial is a run, with as many workers."""
    found = find("again", overrides=("mixing.kind=cutmix", "loss.label_smoothing=0.1", "train.ema=0.9"))
    assert [trial.status for trial in found.trials] == ["done", "done"]
    again = copy.copy(project)
    again.recipe = found.folder / "best.yaml"
    assert "reuse" in again.run()  # the shards of the search
    facts = project.facts("train")
    assert {name: facts[name] for name in found.best.metrics} == found.best.metrics
    trained = load_file(project.artifact("train") / "model.safetensors")
    searched = load_file(found.weights)
    assert trained.keys() == searched.keys()
    assert all(torch.equal(trained[name], searched[name]) for name in trained)


def test_a_grid_and_what_it_leaves(find: Any, project: Project) -> None:
    """A trial that diverges is reported, and not tried again; the other one wins."""
    found = find(
        "grid",
        search={"kind": "grid"},
        space={"optimizer.lr": "choice(0.05, 1e+38)"},
        trial={"retries": 3},
    )
    assert {t.number: (t.status, t.retries) for t in found.trials} == {0: ("done", 0), 1: ("failed", 0)}
    failed = found.trials[-1]
    assert failed.error is not None
    assert "the training has diverged" in failed.error
    assert found.best is not None
    assert [result["epoch"] for result in found.best.results] == [1.0, 2.0]

    # best.yaml is a complete recipe, in which the best values stand.
    best = load(found.folder / "best.yaml")
    assert best.optimizer.lr == 0.05
    assert best.tune is None
    assert plain(best)["train"] == plain(recipe_of(project))["train"]
    assert found.weights is not None
    assert load_file(found.weights)

    rows = list(csv.DictReader((found.folder / "trials.csv").open()))
    assert [(row["trial"], row["status"], row["optimizer.lr"]) for row in rows] == [
        ("0", "done", "0.05"),
        ("1", "failed", "1e+38"),
    ]
    page = (found.folder / "report.md").read_text()
    assert "2 trials: 1 done, 1 failed" in page
    assert f"Best: val/loss {found.best.value:.4f}, trial 0: optimizer.lr 0.05" in page
    with Image.open(found.folder / "figures" / "parallel_coordinates.png") as picture:
        assert min(picture.size) > 300
    assert not (found.folder / "ray").exists()
    assert about(found.folder)["status"] == "done"

    client = project.mlflow
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    (parent,) = [run for run in runs if run.info.run_name == found.folder.name]
    children = {r.info.run_name: r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id}
    assert {name: child.info.status for name, child in children.items()} == {
        "trial-0000": "FINISHED",
        "trial-0001": "FAILED",
    }
    assert {name: child.data.tags["zoetrope.trial"] for name, child in children.items()} == {
        "trial-0000": "done",
        "trial-0001": "failed",
    }
    assert children["trial-0000"].data.params == {"optimizer.lr": "0.05"}
    assert children["trial-0000"].data.metrics["val/loss"] == pytest.approx(found.best.value)
    assert children["trial-0000"].data.tags["zoetrope.best"] == "true"
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best/val/loss"] == pytest.approx(found.best.value)
    kept = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert kept >= {"best.yaml", "trials.csv", "report.md", "figures"}
    assert "optimizer.lr 0.05" in parent.data.tags["mlflow.note.content"]

    said = console()
    show(said, found, recipe_of(project), recipe_of(project).tune, 1.0)  # type: ignore[arg-type]
    shown = said.file.getvalue()  # type: ignore[attr-defined]
    assert f"python -m pipeline run {found.folder}/best.yaml" in shown


def test_a_trial_whose_process_dies_goes_on_from_its_checkpoint(
    find: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the one before, as the newest is torn; and with no room in TMPDIR."""
    undisturbed = find("calm", samples=1, overrides=("train.duration=4ep",))
    killed = tmp_path / "killed"

    def die_once(number: int, told: int, metrics: dict[str, Any]) -> None:
        from ray import tune

        if told == 2 and not killed.exists():
            newest = tune.get_checkpoint()
            assert newest is not None
            os.truncate(Path(newest.path, checkpoint.FILE), 1000)
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def without_tmpdir(config: dict[str, Any], job: Job) -> None:
        tempfile.tempdir = str(tmp_path / "nowhere")
        run_trial(config, job)

    monkeypatch.setattr("tune.search.run_trial", before_reports(without_tmpdir, die_once))
    (trial,) = find("crash", samples=1, overrides=("train.duration=4ep",)).trials
    assert killed.exists()
    assert (trial.status, trial.retries) == ("done", 1)
    assert [result["step"] for result in trial.results] == [3, 6, 9, 12]  # none twice
    assert trial.value == undisturbed.trials[0].value  # bit for bit


def test_a_trial_that_dies_whenever_it_starts_ends_alone(find: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed three times: it may be retried twice. The other trials go on, and one of them wins."""
    train = run_trial

    def deadly(config: dict[str, Any], job: Job) -> None:
        if config["point"]["number"] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        train(config, job)

    monkeypatch.setattr("tune.search.run_trial", deadly)
    found = find(
        "deadly",
        search={"kind": "grid"},
        samples=3,
        space={"optimizer.lr": "choice(0.02, 0.05, 0.01)"},
        trial={"retries": 2},
        overrides=("train.duration=1ep",),
    )
    assert {t.number: (t.status, t.retries) for t in found.trials} == {
        0: ("done", 0),
        1: ("failed", 2),
        2: ("done", 0),
    }
    assert found.best is not None
    assert found.best.number in (0, 2)
    died = "its process died (killed, out of memory, or a crash in native code)"
    assert found.trials[-1].error == died
    assert f"* trial 1: {died}" in (found.folder / "report.md").read_text()
    assert [event["error"] for event in events(found.folder) if event["event"] == "retry"] == [died] * 2
    starts = Counter(event["trial"] for event in events(found.folder) if event["event"] == "start")
    assert starts == {0: 1, 1: 3, 2: 1}


def test_a_trial_that_cannot_begin_ends_alone(find: Any, project: Project) -> None:
    """A grid of two, of which one starts from weights that are none."""
    weights = project.folder / "torn.pth"
    weights.write_bytes(b"torn")
    found = find(
        "torn",
        search={"kind": "grid"},
        space={"model.weights": f"choice(null, '{weights}')"},
        overrides=("train.duration=1ep",),
    )
    assert {t.number: t.status for t in found.trials} == {0: "done", 1: "failed"}
    assert found.best is not None
    assert found.best.number == 0


def test_asha_and_optuna(find: Any) -> None:
    found = find(
        "asha",
        samples=4,
        scheduler={"kind": "asha", "grace": "1ep", "factor": 2},
        search={"kind": "optuna", "startup": 2},
        space={"optimizer.lr": "loguniform(0.0001, 0.2)", "loss.label_smoothing": "choice(0.0, 0.1)"},
        overrides=("train.duration=4ep",),
    )
    assert len(found.trials) == 4
    assert {trial.status for trial in found.trials} <= {"done", "stopped"}
    for trial in found.trials:
        assert trial.epoch == 4.0 if trial.status == "done" else trial.epoch in (1.0, 2.0)
    assert (found.folder / "figures" / "importance.png").exists()


def test_median(find: Any, project: Project) -> None:
    found = find(
        "median",
        samples=4,
        scheduler={"kind": "median", "grace": "1ep", "others": 1},
        search={"kind": "grid"},
        space={"optimizer.lr": "choice(0.02, 0.01, 3.0, 2.0)"},
        overrides=("train.duration=4ep",),
    )
    by_number = {trial.number: trial for trial in found.trials}
    assert by_number[3].status == "stopped"  # came last, and its loss is about 20
    assert by_number[3].epoch < 4
    assert found.best is not None
    assert found.best.number in (0, 1)
    (run,) = [
        run
        for run in project.mlflow_runs()
        if run.data.tags.get("zoetrope.search") == found.folder.name and run.info.run_name == "trial-0003"
    ]
    assert (run.info.status, run.data.tags["zoetrope.trial"]) == ("FINISHED", "stopped")


def test_pbt_hands_weights_over(find: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two trials, of which none is ever more than an epoch ahead of the other."""

    def in_step(number: int, told: int, metrics: dict[str, Any]) -> None:
        (tmp_path / f"{number}.new").write_text(str(metrics["epoch"]))
        (tmp_path / f"{number}.new").rename(tmp_path / f"{number}")
        other = tmp_path / str(1 - number)
        while not (other.exists() and float(other.read_text()) >= metrics["epoch"] - 1):
            time.sleep(0.05)

    monkeypatch.setattr("tune.search.run_trial", before_reports(run_trial, in_step))
    found = find(
        "pbt",
        samples=2,
        scheduler={"kind": "pbt", "interval": "1ep", "quantile": 0.5, "resample": 0.0},
        space={"optimizer.lr": "loguniform(0.001, 0.2)"},
        overrides=("train.duration=8ep", "seed=1"),  # 0.055 and 0.0099
    )
    assert [trial.status for trial in found.trials] == ["done", "done"]
    replaced = [trial for trial in found.trials if trial.replaced]
    assert replaced
    for trial in replaced:
        first, *later = trial.history
        assert first["epoch"] == 0.0
        assert later[-1]["from"] != trial.number  # those before it are what its weights went through
        for entry in later:
            before = trial.history[trial.history.index(entry) - 1]["values"]["optimizer.lr"]
            ratio = entry["values"]["optimizer.lr"] / before
            assert min(abs(ratio - 0.8), abs(ratio - 1.2)) < 1e-9 or entry["values"]["optimizer.lr"] in (0.001, 0.2)
    # Whose weights came from another's goes on where that one was.
    for event in events(found.folder):
        if event["event"] == "start" and event["from"] is not None:
            assert event["epoch"] >= 1.0


def test_a_trial_of_two_workers(find: Any) -> None:
    found = find("workers", samples=1, trial={"workers": 2, "gpus": 0}, overrides=("cluster.cpus_per_worker=0.5",))
    (trial,) = found.trials
    assert (trial.status, trial.epoch) == ("done", 2.0), trial
    assert found.weights is not None


def test_a_key_of_the_shards_makes_others_and_the_rest_is_shared(find: Any, project: Project) -> None:
    before = set((project.store / "artifacts" / "shard").glob("*"))
    found = find(
        "shards",
        search={"kind": "grid"},
        space={"shard.samples": "choice(16, 32)"},
        overrides=("train.duration=1ep",),
    )
    assert [trial.status for trial in found.trials] == ["done", "done"]
    made = set((project.store / "artifacts" / "shard").glob("*")) - before
    assert len(made) == 1  # 16 is the recipe's own
    assert len(list((project.store / "artifacts" / "ingest").glob("*"))) == 1


def test_more_samples_go_on_with_what_is_there(find: Any) -> None:
    first = find("more", samples=1)
    again = find("more", resume=True, samples=2)
    assert again.folder == first.folder
    starts = [event["trial"] for event in events(again.folder) if event["event"] == "start"]
    assert starts == [0, 1]
    assert {trial.number for trial in again.trials} == {0, 1}
    assert find("more", resume=True, samples=2).best == again.best
    assert len(events(again.folder)) == len(events(first.folder))
    with pytest.raises(ZoetropeError, match="there is no search of this recipe to go on with"):
        find("more", resume=True, samples=2, mode="max")


def test_a_damaged_shard_ends_a_trial(find: Any, project: Project) -> None:
    assert find("whole", samples=1, overrides=("train.duration=1ep",)).best
    # Those of a search that makes shards of its own are there, too.
    whole = {path: path.read_bytes() for path in (project.store / "artifacts/shard").glob("*/train/shard-000001.tar")}
    for path, content in whole.items():
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    (trial,) = find("flipped", samples=1, overrides=("train.duration=1ep",)).trials
    for path, content in whole.items():
        path.write_bytes(content)
    assert trial.status == "failed"
    assert trial.error is not None
    assert trial.error.startswith(tuple(f"{path}: this file is damaged" for path in whole))


def test_all_trials_fail(find: Any, project: Project) -> None:
    found = find("nan", samples=1, space={"optimizer.lr": "choice(1e+38)"})
    assert found.best is None
    assert not (found.folder / "best.yaml").exists()
    with pytest.raises(ZoetropeError, match=r"no trial came to a result\. the loss is"):
        show(console(), found, recipe_of(project), recipe_of(project).tune, 1.0)  # type: ignore[arg-type]


def test_own_proposals(project: Project, ray_of_two: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In trials that halve their micro-batch when memory lacks."""

    def with_little_memory(config: dict[str, Any], job: Job) -> None:
        def take(module: Any, inputs: tuple[Any, ...]) -> None:
            if module.training and len(inputs[0]) > 4:
                (tmp_path / "full").touch()
                torch.empty(len(inputs[0]) << 50)

        torch.nn.modules.module.register_module_forward_pre_hook(take)
        run_trial(config, job)

    monkeypatch.setattr("tune.search.run_trial", with_little_memory)

    def propose(number: int, trials: Any) -> dict[str, Any] | None:
        assert len(trials) == number
        return {"optimizer.lr": 0.01 * (number + 1)} if number < 2 else None

    overrides = ("train.duration=1ep", "name=own", "train.micro_batch=auto")
    found = search(recipe_of(project, overrides, samples=9), console(), propose=propose)
    assert [trial.error for trial in found.trials] == [None, None]
    assert (tmp_path / "full").exists()
    assert {trial.number: trial.values["optimizer.lr"] for trial in found.trials} == {0: 0.01, 1: 0.02}


def test_stopped_trials_give_their_resources_back(ray_of_two: None) -> None:
    import ray

    until = time.monotonic() + 60
    while (free := ray.available_resources().get("CPU", 0)) < 2 and time.monotonic() < until:
        time.sleep(0.2)
    assert free == 2
