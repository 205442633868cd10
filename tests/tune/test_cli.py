"""`python -m tune` from outside: what is refused at once, kill -9 and --resume. As jobs: in test_jobs.py."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from augment.policy import load_policy, load_schedule
from pipeline.recipe import Recipe, load
from pipeline.recipe.policies import FastAutoAugment
from pipeline.shards.dataset import open_dataset
from pipeline.training.distributed import Process
from pipeline.training.loop import train
from tests.conftest import ROOT, Project
from tests.processes import PYTHONPATH, begotten, left_of
from tests.test_jobs import wait_until
from tune.cli import main
from tune.journal import EVENTS
from tune.policy.child import WEIGHTS
from tune.policy.fast import CANDIDATES, search_fold, unite
from tune.policy.population import schedule_of
from tune.policy.propose import read_log
from tune.space import trial_recipe

TUNE: dict[str, Any] = {
    "metric": "val/loss",
    "mode": "min",
    "samples": 3,
    "search": {"kind": "grid"},
    "trial": {"gpus": 0},
    "space": {"optimizer.lr": "choice(0.05, 0.02, 0.01)"},
}


def test_ctrl_c_names_what_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --resume the same command is another search."""

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tune.cli.load", interrupted)
    monkeypatch.setattr(sys, "argv", ["tune", "recipes/tune-quickstart.yaml"])
    with pytest.raises(SystemExit, match="130"):
        main()
    assert capsys.readouterr().err == "Stopped. The same command with --resume goes on from here.\n"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["tune.space={optimizer.lrr: 'uniform(0.1, 1)'}"], "unknown key 'lrr'; did you mean 'lr'?"),
        (["tune.space={optimizer.lr: 'unifrom(0.1, 1)'}"], "unknown domain 'unifrom'; did you mean 'uniform'"),
        (["--resume"], "there is no search of this recipe to go on with"),
    ],
)
def test_what_is_refused_starts_nothing(
    asked: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["tune", "recipes/tune-quickstart.yaml", f"store={tmp_path}/runs", *asked])
    with pytest.raises(SystemExit, match="1"):
        main()
    shown = capfd.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert "starting Ray" not in shown.out
    assert not (tmp_path / "runs" / "artifacts").exists()


class Searches(Project):
    """A project whose command is `python -m tune`."""

    def search(self, *arguments: str, program: tuple[str, ...] = ("tune",)) -> subprocess.Popen[str]:
        """Start one; its output in `self.log`."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        self.log = self.folder / f"tune-{time.monotonic_ns()}.log"
        env = os.environ | {"RAY_AUTH_MODE": "disabled", "HOME": str(home), "PYTHONPATH": PYTHONPATH}
        command = [sys.executable, "-m", *program, str(self.recipe), f"store={self.store}", *arguments]
        with self.log.open("w") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, text=True, env=env, start_new_session=True)

    def events(self) -> list[dict[str, Any]]:
        """What the searches of this store have noted, without a line that is being written."""
        lines = [line for path in self.store.glob(f"tune/*/{EVENTS}") for line in path.read_text().splitlines(True)]
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def killed(self, number: int, reports: int, ready: Callable[[], bool]) -> None:
        """Kill one with all that it started, as soon as trial `number` stands after `reports`, and what is `ready`."""
        process = self.search(program=("tests.tune.held", str(self.folder), str(number), str(reports)))

        def stands() -> bool:
            assert process.poll() is None, self.log.read_text()
            return (self.folder / "held").exists() and ready()

        wait_until(stands, self.log.read_text)
        children = begotten(process.pid)
        process.kill()
        process.wait()
        assert left_of(children) == []

    def resumed(self) -> str:
        """What `--resume` prints, to its end."""
        again = self.search("--resume", program=("tests.tune.held", str(self.folder), "-1", "0"))
        assert again.wait(timeout=600) == 0, self.log.read_text()
        return self.log.read_text()

    def runs(self) -> list[str]:
        """The names of MLflow's runs but those of searches."""
        return sorted(run.info.run_name for run in self.mlflow_runs() if "mlflow.parentRunId" in run.data.tags)


@pytest.fixture
def searches(tmp_path: Path) -> Searches:
    """Whose trials come one after the other, on any machine."""
    changes = {"train.duration": "4ep", "cluster.cpus_per_worker": len(os.sched_getaffinity(0)), "cluster.workers": 1}
    return Searches(tmp_path, "image", **changes)


def put_tune(searches: Searches, section: dict[str, Any]) -> Recipe:
    """Write the section `tune` into the recipe."""
    values = yaml.safe_load(searches.recipe.read_text()) | {"tune": section}
    searches.recipe.write_text(yaml.safe_dump(values))
    return load(searches.recipe, (f"store={searches.store}",))


@pytest.mark.slow
def test_a_killed_search_goes_on_and_runs_nothing_twice(searches: Searches) -> None:
    recipe = put_tune(searches, TUNE)

    def in_the_second() -> bool:
        return sum(event["event"] == "checkpoint" and event["trial"] == 1 for event in searches.events()) == 2

    searches.killed(1, 2, in_the_second)
    before = searches.events()
    assert [event["status"] for event in before if event["event"] == "end"] == ["done"]

    log = searches.resumed()
    events = searches.events()
    assert events[: len(before)] == before
    later = events[len(before) :]
    assert not [event for event in later if event["trial"] == 0]  # it had ended
    results = [event for event in events if event["event"] == "result" and event["trial"] == 1]
    assert [result["step"] for result in results] == [3, 6, 9, 12]  # none twice
    assert recipe.tune is not None
    trial, dataset = trial_recipe(recipe, recipe.tune, {"optimizer.lr": 0.02}), open_dataset(searches.artifact("shard"))
    assert results[-1]["metrics"] == train(trial, dataset, Process(), nothing, nothing)  # as at one go, bit for bit
    assert [event["status"] for event in events if event["event"] == "end"] == ["done"] * 3
    (folder,) = (searches.store / "tune").iterdir()
    assert load(folder / "best.yaml").tune is None
    assert "3 trials: 3 done" in log
    assert searches.runs() == ["trial-0000", "trial-0001", "trial-0002"]


@pytest.mark.slow
def test_a_killed_fast_autoaugment_goes_on_at_the_next_candidate(searches: Searches) -> None:
    options = {"kind": "fast", "folds": 2, "candidates": 6, "keep": 2, "sub_policies": 2, "samples": 8}
    recipe = put_tune(searches, {"metric": "val/top1", "mode": "max", "trial": {"gpus": 0}, "policy": options})

    def candidates(fold: int) -> list[Path]:
        return list(searches.store.glob(f"tune/*/fold-{fold}/{CANDIDATES}"))

    def first_fold_is_done() -> bool:
        return [len(path.read_text().splitlines()) for path in candidates(0)] == [6]

    searches.killed(1, 2, first_fold_is_done)
    (folder,) = (searches.store / "tune").iterdir()
    models = [folder / f"fold-{fold}" / WEIGHTS for fold in range(2)]
    trained = [path.stat().st_mtime_ns for path in models]
    assert len(read_log(folder / "fold-1" / CANDIDATES)) == 3
    assert not (folder / "policy.yaml").exists()

    searches.resumed()
    assert [path.stat().st_mtime_ns for path in models] == trained
    assert (searches.folder / "scored").read_text().split() == ["0"] * 6 + ["1"] * 6  # no candidate twice
    assert searches.runs() == ["fold-0", "fold-1"]

    # Undisturbed, each fold at one go:
    assert recipe.tune is not None
    trial, dataset = trial_recipe(recipe, recipe.tune, {}), open_dataset(searches.artifact("shard"))
    chosen, whole = FastAutoAugment.model_validate(options), []
    for fold in range(2):
        (searches.folder / f"fold-{fold}").mkdir()
        whole.append(search_fold(trial, dataset, chosen, fold, searches.folder / f"fold-{fold}", nothing))
    assert [read_log(folder / f"fold-{fold}" / CANDIDATES) for fold in range(2)] == whole
    assert load_policy(folder / "policy.yaml") == unite(whole, chosen)


def nothing(*told: Any) -> None:
    """Hears what is told."""


@pytest.mark.slow
def test_a_killed_population_goes_on(searches: Searches) -> None:
    """Two that take turns: one has trained two of its epochs, the other none."""
    options = {"kind": "pba", "population": 2, "interval": "3ep"}
    put_tune(searches, {"metric": "val/top1", "mode": "max", "trial": {"gpus": 0}, "policy": options})

    def steps_of_the_first() -> list[int]:
        return [event["step"] for event in searches.events() if event["event"] == "result" and event["trial"] == 0]

    searches.killed(0, 2, lambda: steps_of_the_first() == [3, 6])
    before = searches.events()
    log = searches.resumed()
    events = searches.events()
    assert events[: len(before)] == before
    assert steps_of_the_first()[2] == 9  # from the checkpoint at 6
    assert sorted(event["trial"] for event in events if event["event"] == "end") == [0, 1]
    assert "2 trials: 2 done" in log
    assert searches.runs() == ["trial-0000", "trial-0001"]
    (folder,) = (searches.store / "tune").iterdir()
    best = json.loads((folder / "trials.json").read_text())[0]
    assert load_schedule(folder / "schedule.yaml") == schedule_of(best["history"])
