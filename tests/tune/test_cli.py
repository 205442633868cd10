"""`python -m tune` from outside: what is refused at once, kill -9 and --resume, two searches on one Ray, a job."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.recipe import load
from tests.conftest import ROOT, Project
from tests.processes import begotten, left_of
from tests.test_jobs import Head, wait_until
from tests.test_jobs import head as head
from tune.cli import main
from tune.journal import EVENTS

TUNE: dict[str, Any] = {
    "metric": "val/loss",
    "mode": "min",
    "samples": 3,
    "search": {"kind": "grid"},
    "space": {"optimizer.lr": "choice(0.05, 0.02, 0.01)"},
}


def tune(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """`python -m tune ARGUMENTS`, to its end."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | changes
    command = [sys.executable, "-m", "tune", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600)


def test_ctrl_c_names_what_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --resume the same command is another search."""

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tune.cli.load", interrupted)
    monkeypatch.setattr(sys, "argv", ["tune", "recipes/tune-quickstart.yaml"])
    with pytest.raises(SystemExit, match="130"):
        main()
    assert capsys.readouterr().err == "Stopped. The same command with --resume goes on from here.\n"


def test_what_is_refused_starts_nothing(tmp_path: Path) -> None:
    recipe = "recipes/tune-quickstart.yaml"
    wrong = tune(recipe, f"store={tmp_path}/runs", "tune.space={optimizer.lrr: 'uniform(0.1, 1)'}")
    assert wrong.returncode == 1
    assert "unknown key 'lrr'; did you mean 'lr'?" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    form = tune(recipe, f"store={tmp_path}/runs", "tune.space={optimizer.lr: 'unifrom(0.1, 1)'}")
    assert form.returncode == 1
    assert "unknown domain 'unifrom'; did you mean 'uniform'" in form.stderr
    none = tune(recipe, f"store={tmp_path}/runs", "--resume")
    assert none.returncode == 1
    assert "there is no search of this recipe to go on with" in none.stderr
    assert not (tmp_path / "runs" / "artifacts").exists()
    for shown in (wrong, form, none):
        assert "starting Ray" not in shown.stdout


class Searches(Project):
    """A project whose command is `python -m tune`."""

    def search(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start one; its output in `self.log`."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        self.log = self.folder / f"tune-{time.monotonic_ns()}.log"
        env = os.environ | {"RAY_AUTH_MODE": "disabled", "HOME": str(home), "PYTHONPATH": str(ROOT)} | environment
        command = [sys.executable, "-m", "tune", str(self.recipe), f"store={self.store}", *arguments]
        with self.log.open("w") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, text=True, env=env, start_new_session=True)

    def events(self) -> list[dict[str, Any]]:
        """What the searches of this store have noted, without a line that is being written."""
        lines = [line for path in self.store.glob(f"tune/*/{EVENTS}") for line in path.read_text().splitlines(True)]
        return [json.loads(line) for line in lines if line.endswith("\n")]


@pytest.fixture
def searches(tmp_path: Path) -> Searches:
    project = Searches(tmp_path, "image", **{"train.duration": "40ep", "cluster.cpus_per_worker": 2})
    values = yaml.safe_load(project.recipe.read_text()) | {"tune": TUNE}
    project.recipe.write_text(yaml.safe_dump(values))
    return project


@pytest.mark.slow
def test_a_killed_search_goes_on_and_runs_nothing_twice(searches: Searches) -> None:
    process = searches.search("tune.trial.gpus=0")

    def in_the_second() -> bool:
        assert process.poll() is None, searches.log.read_text()
        seen = searches.events()
        ended = any(event["event"] == "end" for event in seen)
        return ended and sum(event["event"] == "checkpoint" and event["trial"] == 1 for event in seen) >= 3

    wait_until(in_the_second, searches.log.read_text)
    children = begotten(process.pid)
    process.kill()
    process.wait()
    assert left_of(children) == []
    before = searches.events()

    again = searches.search("tune.trial.gpus=0", "--resume")
    assert again.wait(timeout=600) == 0, searches.log.read_text()
    log = searches.log.read_text()
    events = searches.events()
    assert events[: len(before)] == before
    later = events[len(before) :]
    assert not [event for event in later if event["trial"] == 0]  # it had ended
    first = next(event["step"] for event in later if event["event"] == "result" and event["trial"] == 1)
    assert first > 3  # not from the start
    assert [event["status"] for event in events if event["event"] == "end"] == ["done"] * 3
    (folder,) = (searches.store / "tune").iterdir()
    assert load(folder / "best.yaml").tune is None
    assert re.search(r"3 trials: 3 done", log)
    runs = [run.info.run_name for run in searches.mlflow_runs()]
    assert sorted(name for name in runs if name.startswith("trial-")) == ["trial-0000", "trial-0001", "trial-0002"]


def ended(head: Head, job: str) -> str:
    """What a job has printed, when it has nothing more to print."""
    wait_until(lambda: re.search(r"^(run it|Error)", head.logs(job), re.MULTILINE), lambda: head.logs(job))
    return head.logs(job)


@pytest.mark.slow
def test_jobs_and_two_searches_at_once(head: Head) -> None:
    """Two jobs on one Ray, in one store."""
    small = ("data.source.samples=200", "train.duration=1ep", "tune.samples=2", "tune.search.startup=1")
    command = ("python", "-m", "tune", "recipes/tune-quickstart.yaml", *small)
    for job, seed in (("one", "0"), ("other", "1")):
        code, shown = head.submit(*command, f"seed={seed}", options=("--no-wait", "--submission-id", job))
        assert code == 0, shown
    for job in ("one", "other"):
        log = ended(head, job)
        assert "joining Ray ..." in log
        assert "2 trials: " in log, log
    folders = list((head.store / "tune").iterdir())
    assert len(folders) == 2
    for folder in folders:
        assert (folder / "best.yaml").exists()
    parents = [run for run in head.mlflow_runs("tune-quickstart") if run.data.tags.get("zoetrope.role") == "search"]
    assert [run.info.status for run in parents] == ["FINISHED"] * 2
