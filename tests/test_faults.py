"""What kills and signals leave behind, and that the same command goes on from there to the same result."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster.tracker import NOTE as TRACKER
from pipeline.shards.file_io import sha256
from tests.conftest import NO_IMAGE, ROOT
from tests.pipeline.tracking.mlflow_server import Server
from tests.processes import begotten, family, left_of
from tests.test_tracking import tracked

pytestmark = pytest.mark.slow

STEPS, EVERY = 300, 6
# 50 checkpoints of 0.2 s at least, since Ray Train looks for them every 0.2 s. A training that is interrupted goes on
# for up to 3 s, so there is time to do that twice and to be killed three times, on a fast machine too.
CHANGES = {
    "cluster.workers": 2,
    "train.duration": f"{STEPS}st",
    "train.checkpoint": f"{EVERY}st",
    "train.evaluate": f"{STEPS // 2}st",
}
NOTES = "work/train/*/scratch/ray/*/checkpoint*.json"
"""Where Ray Train notes the checkpoints that are whole, and our copy. A folder of its own comes before the note."""


@pytest.fixture(scope="module")
def undisturbed(make_project: Callable[..., Any]) -> Any:
    project = make_project("image", **CHANGES)
    project.run()
    return project


@pytest.fixture
def project(undisturbed: Any, tmp_path: Path) -> Any:
    """The same recipe and its shards, in another store."""
    project = object.__new__(type(undisturbed))
    project.__dict__.update(undisturbed.__dict__, store=tmp_path / "runs")
    for stage in ("ingest", "shard"):
        shutil.copytree(undisturbed.store / "artifacts" / stage, project.store / "artifacts" / stage)
    return project


def wait_until(ready: Callable[[], Any], process: subprocess.Popen[str], project: Any, timeout_s: float = 500) -> Any:
    until_s = time.monotonic() + timeout_s
    while not (found := ready()):
        assert process.poll() is None, project.log.read_text()
        assert time.monotonic() < until_s, project.log.read_text()
        time.sleep(0.02)
    return found


def noted_step(note: Path) -> int:
    """The step of the newest checkpoint in such a note, 0 while it is being written."""
    with suppress(ValueError):
        return int(json.loads(note.read_text())["latest_checkpoint_result"]["checkpoint_dir_name"].split("-")[1])
    return 0


def newest_checkpoint(project: Any) -> int:
    """The step of the newest checkpoint from which a training would go on, 0 when there is none."""
    return max(map(noted_step, project.store.glob(NOTES)), default=0)


def started_and_in_mid_training(project: Any) -> subprocess.Popen[str]:
    """A run that has written a checkpoint more, has said from where it went on, and has many to go."""
    before = newest_checkpoint(project)
    process: subprocess.Popen[str] = project.start("run")
    wait_until(
        lambda: newest_checkpoint(project) > before and len(resumed_after(project)) >= bool(before), process, project
    )
    return process


def resumed_after(project: Any) -> list[int]:
    """The step after which the newest command's training went on, each time that it began anew."""
    return [int(step) for step in re.findall(r"train: goes on after (\d+) steps", project.log.read_text())]


def history(project: Any, run_id: str, name: str) -> dict[int, float]:
    """Values by step; a step that is there twice is an error."""
    points = project.mlflow.get_metric_history(run_id, name)
    values = {point.step: point.value for point in points}
    assert len(values) == len(points)
    return values


def check_same_result(project: Any, undisturbed: Any) -> str:
    """One finished MLflow run with the same weights and the same curves; returns its id."""
    weights = [each.artifact("train") / "model.safetensors" for each in (project, undisturbed)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    (run,), (expected,) = project.mlflow_runs(), undisturbed.mlflow_runs()
    assert run.info.status == "FINISHED"
    for name in ("train/loss", "train/top1", "lr", "epoch", "val/loss"):
        assert history(project, run.info.run_id, name) == history(undisturbed, expected.info.run_id, name)
    assert max(history(project, run.info.run_id, "train/loss")) == STEPS
    assert project.facts("evaluate") == undisturbed.facts("evaluate")
    return str(run.info.run_id)


def check_interrupted(project: Any, children: set[int]) -> str:
    """No process and no artifact are left; returns the id of the MLflow run, which says so too."""
    assert left_of(children) == []
    assert not (project.store / "artifacts" / "train").exists()
    (left,) = project.mlflow_runs()
    assert left.info.status == "KILLED"
    return str(left.info.run_id)


def test_killed_and_stopped_again_and_again(project: Any, undisturbed: Any) -> None:
    """Kill the driver; send a signal to it alone, and as Ctrl-C in a terminal, which reaches every process (SIGTERM is
    what `ray job stop` sends, see test_jobs.py); in the last run, kill a training worker, then Ray Train's controller.
    """
    process = started_and_in_mid_training(project)
    children = begotten(process.pid)
    process.kill()
    process.wait()
    assert left_of(children) == []
    (left,) = project.mlflow_runs()
    assert left.info.status == "RUNNING"  # nobody was there to say otherwise
    listing = [sys.executable, "-m", "pipeline", "ls", str(project.store)]
    until_s = time.monotonic() + 200
    while project.mlflow.get_run(left.info.run_id).info.status == "RUNNING" and time.monotonic() < until_s:
        # Ray may have begun a process in that moment, which lives on for another one, and holds what is to be sent.
        listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True)
        assert "interrupted" in listed.stdout
    runs, resumed = {check_interrupted(project, children)}, []

    for send in (os.kill, os.killpg):
        process = started_and_in_mid_training(project)
        children = begotten(process.pid)
        send(process.pid, signal.SIGINT)
        assert process.wait(timeout=120) == 130, project.log.read_text()
        shown = project.log.read_text()
        assert "Traceback" not in shown
        assert "Stopped. The same command goes on from here." in shown
        assert send is os.killpg or shown.rstrip().endswith("goes on from here.")
        runs.add(check_interrupted(project, children))
        resumed += resumed_after(project)

    process = started_and_in_mid_training(project)
    for number, (name, count) in enumerate((("RayTrainWorker", 2), ("TrainController", 1)), 1):
        processes = family(process.pid, name)
        assert len(processes) == count
        processes[-1].kill()
        wait_until(
            lambda: len(steps := resumed_after(project)) > number and newest_checkpoint(project) > steps[-1],  # noqa: B023  # called here
            process,
            project,
        )
    assert process.wait(timeout=600) == 0, project.log.read_text()
    resumed += resumed_after(project)
    assert len(resumed) == 5
    assert 0 < resumed[0] < resumed[1] < resumed[2] < resumed[3] < resumed[4]
    assert {check_same_result(project, undisturbed)} == runs


def test_a_tracker_that_dies_and_one_that_stands_still(project: Any, undisturbed: Any) -> None:
    """MLflow has each point, once, and the run its end and its model."""
    process = started_and_in_mid_training(project)
    (note,) = project.store.glob(f"runs/*/{TRACKER}")

    def other_than(pid: int) -> int:
        """The tracker's process, 0 while it is still that one, or is being noted."""
        with suppress(ValueError):
            return int(found) if (found := json.loads(note.read_text())["pid"]) != pid else 0
        return 0

    first = other_than(0)
    os.kill(first, signal.SIGKILL)
    second = wait_until(lambda: other_than(first), process, project)
    os.kill(second, signal.SIGSTOP)
    assert process.wait(timeout=600) == 0, project.log.read_text()
    assert other_than(second)
    run_id = check_same_result(project, undisturbed)
    assert project.facts("export")["mlflow_model"]
    assert {"figures", "evaluation"} <= {item.path for item in project.mlflow.list_artifacts(run_id)}


def test_a_training_that_diverges(project: Any) -> None:
    process = project.start("run", "optimizer.lr=1e38")
    assert process.wait(timeout=600) == 1
    shown = project.log.read_text()
    assert "Error: the loss is nan" in shown
    assert "Traceback" not in shown
    assert not (project.store / "artifacts" / "train").exists()
    (run,) = project.mlflow_runs()
    assert run.info.status == "FAILED"


def test_samples_that_went_bad_in_the_shards(make_project: Callable[..., Any]) -> None:
    """A shard that has changed ends the run. Of samples that were bad before it was written down what a shard is, one
    is replaced in training, one left out of evaluation; both are told at the end, with their files.
    """
    from pipeline.shards.dataset import open_dataset
    from pipeline.shards.index import index_path, read_index

    project = make_project("image", **{"data.max_bad": 0.2, "train.duration": "2ep"})
    project.run("--seconds", "0", verb="feed")  # makes the shards
    dataset = open_dataset(project.artifact("shard"))
    known = {}
    for split in ("train", "val"):
        shard = dataset.split(split).shards[0]
        index = read_index(index_path(dataset.folder / shard.name), shard.bytes)
        offset, length = (int(column[index.data_column()[0], 0]) for column in (index.offsets, index.lengths))
        path = dataset.folder / shard.name
        content = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(content[:offset] + bytes(length) + content[offset + length :])
        known[shard.sha256] = sha256(path)
    assert project.start("run").wait(timeout=600) == 1
    assert re.search(r"Error: .*shard-000000\.tar: this file is damaged .*--rerun shard", project.log.read_text())

    for name in ("dataset.json", "manifest.json"):
        path = dataset.folder / name
        text = path.read_text()
        for before, now in known.items():
            text = text.replace(before, now)
        path.chmod(0o644)
        known[sha256(path)] = hashlib.sha256(text.encode()).hexdigest()
        path.write_text(text)
    shown = project.run()
    assert "2 samples were left out; the reasons are in" in shown
    assert "1 measured sample was left out; the reasons are in" in shown
    (row,) = [json.loads(line) for line in (project.artifact("evaluate") / "quarantine.jsonl").read_text().splitlines()]
    assert row["stage"] == "evaluate"
    assert (project.folder / "data" / row["source"]).exists()
    assert row["reason"] == NO_IMAGE


def test_an_mlflow_server_restarted_beside_a_killed_worker_and_hung_at_the_end(
    project: Any, undisturbed: Any, tmp_path: Path
) -> None:
    with Server(tmp_path) as server:
        server.start()
        process = project.start("run", f"tracking.uri={server.url}")
        wait_until(lambda: newest_checkpoint(project) >= 2 * EVERY, process, project)
        server.kill()
        workers = family(process.pid, "RayTrainWorker")
        workers[1].kill()
        server.start()
        wait_until(lambda: list(project.store.glob("artifacts/train/*/manifest.json")), process, project)
        server.hang()
        assert process.wait(timeout=600) == 0, project.log.read_text()
        shown = project.log.read_text()
        assert f"are not in MLflow at {server.url} yet" in shown
        assert "Traceback" not in shown

        server.start()
        again = project.run(f"tracking.uri={server.url}")
        assert "has now what it missed of run tiny-image" in again
        assert list((project.store / "spool").iterdir()) == []
        _, points = tracked(server, project)
    (expected,) = undisturbed.mlflow_runs()
    for name in ("train/loss", "train/top1", "lr", "epoch", "val/loss", "val/top1"):
        history = undisturbed.mlflow.get_metric_history(expected.info.run_id, name)
        assert points[name] == [(point.step, point.value) for point in history]
    assert project.facts("evaluate") == undisturbed.facts("evaluate")
