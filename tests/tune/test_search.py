"""Whole searches with tiny budgets, on one Ray, each trial a real training."""

import csv
import io
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from pipeline.base.errors import ZoetropeError
from pipeline.recipe import Recipe, load, plain
from tests.conftest import Project
from tune.folder import about
from tune.journal import EVENTS
from tune.report import show
from tune.search import Found, search

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
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
def find(project: Project, ray_of_two: None) -> Callable[..., Found]:
    """Search with a section `tune` changed, and recipe keys besides."""

    def find(name: str, resume: bool = False, overrides: tuple[str, ...] = (), **changes: Any) -> Found:
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
    """A grid: a trial that diverges is reported, and not tried again; the other one wins."""
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
    (experiment,) = [e for e in client.search_experiments() if e.name == "grid"]
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.data.tags.get("zoetrope.role") == "search"]
    children = {r.info.run_name: r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id}
    assert {name: child.info.status for name, child in children.items()} == {
        "trial-0000": "FINISHED",
        "trial-0001": "FAILED",
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


class Killer(threading.Thread):
    """Kills the process of a trial, once it has written a checkpoint."""

    def __init__(self, store: Path, name: str) -> None:
        super().__init__(daemon=True)
        self._pattern = f"tune/{name}-*/{EVENTS}"
        self._store = store
        self.killed = 0

    def run(self) -> None:
        """Look until one was killed."""
        until = time.monotonic() + 120
        while not self.killed and time.monotonic() < until:
            for path in self._store.glob(self._pattern):
                if '"checkpoint"' in path.read_text():
                    self._kill()
            time.sleep(0.02)

    def _kill(self) -> None:
        for process in psutil.Process(os.getpid()).children(recursive=True):
            try:
                if any(name in " ".join(process.cmdline()) for name in ("ImplicitFunc", "run_trial")):
                    process.kill()
                    self.killed += 1
                    return
            except psutil.NoSuchProcess:
                continue


def test_a_trial_whose_process_dies_goes_on_from_its_checkpoint(find: Any, project: Project) -> None:
    undisturbed = find("calm", samples=1, overrides=("train.duration=12ep",))
    killer = Killer(project.store, "crash")
    killer.start()
    found = find("crash", samples=1, overrides=("train.duration=12ep",))
    killer.join()
    assert killer.killed == 1
    (trial,) = found.trials
    assert (trial.status, trial.retries) == ("done", 1)
    assert [result["step"] for result in trial.results] == [3 * epoch for epoch in range(1, 13)]  # none twice
    assert trial.value == undisturbed.trials[0].value  # bit for bit


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


def test_median(find: Any) -> None:
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


def test_pbt_hands_weights_over(find: Any) -> None:
    found = find(
        "pbt",
        samples=2,
        scheduler={"kind": "pbt", "interval": "1ep", "quantile": 0.5, "resample": 0.0},
        space={"optimizer.lr": "loguniform(0.001, 0.2)"},
        overrides=("train.duration=30ep",),  # long beside what one of the two starts later than the other
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


def test_all_trials_fail(find: Any, project: Project) -> None:
    found = find("nan", samples=1, space={"optimizer.lr": "choice(1e+38)"})
    assert found.best is None
    assert not (found.folder / "best.yaml").exists()
    with pytest.raises(ZoetropeError, match=r"no trial came to a result\. the loss is"):
        show(console(), found, recipe_of(project), recipe_of(project).tune, 1.0)  # type: ignore[arg-type]


def test_own_proposals(project: Project, ray_of_two: None) -> None:
    def propose(number: int, trials: Any) -> dict[str, Any] | None:
        assert len(trials) == number
        return {"optimizer.lr": 0.01 * (number + 1)} if number < 2 else None

    found = search(recipe_of(project, ("train.duration=1ep", "name=own"), samples=9), console(), propose=propose)
    assert {trial.number: trial.values["optimizer.lr"] for trial in found.trials} == {0: 0.01, 1: 0.02}


def test_stopped_trials_give_their_resources_back(ray_of_two: None) -> None:
    import ray

    until = time.monotonic() + 60
    while (free := ray.available_resources().get("CPU", 0)) < 2 and time.monotonic() < until:
        time.sleep(0.2)
    assert free == 2
