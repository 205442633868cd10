"""What kills and signals leave behind, and that the same command goes on from there to the same result."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.pipeline.tracking.mlflow_server import Server
from tests.test_tracking import tracked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STEPS, EVERY = 120, 6
# A checkpoint takes about half a second, so there is time to disturb a training between two of them, three times.
CHANGES = {
    "cluster.workers": 2,
    "train.duration": f"{STEPS}st",
    "train.checkpoint": f"{EVERY}st",
    "train.evaluate": f"{STEPS // 2}st",
}
KNOWN = "work/train/*/scratch/ray/*/checkpoint_manager_snapshot.json"
"""Where Ray Train notes the checkpoints that are whole. A folder of its own comes earlier, before the note."""


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


def wait_until(ready: Callable[[], Any], process: subprocess.Popen[str], project: Any, timeout_s: float = 200) -> Any:
    until_s = time.monotonic() + timeout_s
    while not (found := ready()):
        assert process.poll() is None, project.log.read_text()
        assert time.monotonic() < until_s, project.log.read_text()
        time.sleep(0.02)
    return found


def newest_checkpoint(project: Any) -> int:
    """The step of the newest checkpoint from which a training would go on, 0 when there is none."""
    for path in project.store.glob(KNOWN):
        with suppress(ValueError):  # it is being written
            return int(json.loads(path.read_text())["latest_checkpoint_result"]["checkpoint_dir_name"].split("-")[1])
    return 0


def started_and_in_mid_training(project: Any) -> subprocess.Popen[str]:
    """A run that has written a checkpoint more, and has many to go."""
    before = newest_checkpoint(project)
    process: subprocess.Popen[str] = project.start("run")
    wait_until(lambda: newest_checkpoint(project) > before, process, project)
    return process


def resumed_after(project: Any) -> list[int]:
    """The step after which the newest command's training went on, each time that it began anew."""
    return [int(step) for step in re.findall(r"train: goes on after (\d+) steps", project.log.read_text())]


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All processes that a driver has begotten, but for two of Ray's, which outlive a killed raylet by a minute."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if not child.name().endswith("Agent")]


def alive(processes: list[psutil.Process]) -> list[str]:
    found = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
        except psutil.NoSuchProcess:
            pass
    return found


def check_gone(processes: list[psutil.Process], timeout_s: float = 60) -> None:
    until_s = time.monotonic() + timeout_s
    while alive(processes) and time.monotonic() < until_s:
        time.sleep(0.1)
    assert alive(processes) == []


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


def test_a_killed_driver_and_then_a_killed_training_worker(project: Any, undisturbed: Any) -> None:
    process = started_and_in_mid_training(project)
    children = family(process)
    process.kill()
    process.wait()
    check_gone(children)
    (left,) = project.mlflow_runs()
    assert left.info.status == "RUNNING"  # nobody was there to say otherwise
    assert not (project.store / "artifacts" / "train").exists()

    process = started_and_in_mid_training(project)
    workers = [child for child in family(process) if "RayTrainWorker" in " ".join(child.cmdline())]
    assert len(workers) == 2
    workers[1].kill()
    assert process.wait(timeout=280) == 0, project.log.read_text()
    driver, worker = resumed_after(project)
    assert 0 < driver < worker
    assert check_same_result(project, undisturbed) == left.info.run_id


def test_stopped_again_and_again(project: Any, undisturbed: Any) -> None:
    """By a signal to the driver alone, and as by Ctrl-C in a terminal, which reaches every process."""
    runs, resumed = set(), []
    for send, number in ((os.kill, signal.SIGINT), (os.kill, signal.SIGTERM), (os.killpg, signal.SIGINT)):
        process = started_and_in_mid_training(project)
        children = family(process)
        began_s = time.monotonic()
        send(process.pid, number)
        assert process.wait(timeout=60) == 130, project.log.read_text()
        took_s = time.monotonic() - began_s
        shown = project.log.read_text()
        assert "Traceback" not in shown
        assert "Stopped. The same command goes on from here." in shown
        assert send is os.killpg or shown.rstrip().endswith("goes on from here.")
        check_gone(children)
        (left,) = project.mlflow_runs()
        assert left.info.status == "KILLED"
        assert took_s < 30
        runs.add(left.info.run_id)
        resumed += resumed_after(project)
    project.run()
    resumed += resumed_after(project)
    assert len(resumed) == 3
    assert 0 < resumed[0] < resumed[1] < resumed[2]
    assert {check_same_result(project, undisturbed)} == runs


def test_a_training_that_diverges(project: Any) -> None:
    process = project.start("run", "optimizer.lr=1e38")
    assert process.wait(timeout=280) == 1
    shown = project.log.read_text()
    assert "Error: the loss is nan" in shown
    assert "Traceback" not in shown
    assert not (project.store / "artifacts" / "train").exists()
    (run,) = project.mlflow_runs()
    assert run.info.status == "FAILED"


def test_samples_that_went_bad_in_the_shards(make_project: Callable[..., Any]) -> None:
    """One is replaced in training, one left out of evaluation; both are told at the end, with their files."""
    from pipeline.shards.dataset import open_dataset
    from pipeline.shards.index import index_path, read_index

    project = make_project("image", **{"data.max_bad": 0.2, "train.duration": "1ep"})
    project.run()
    dataset = open_dataset(project.artifact("shard"))
    for split in ("train", "val"):
        shard = dataset.split(split).shards[0]
        index = read_index(index_path(dataset.folder / shard.name), shard.bytes)
        offset, length = (int(column[index.data_column()[0], 0]) for column in (index.offsets, index.lengths))
        path = dataset.folder / shard.name
        content = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(content[:offset] + bytes(length) + content[offset + length :])
    shown = project.run("train.duration=2ep")
    assert "2 samples were left out; the reasons are in" in shown
    assert "1 validation sample was left out; the reasons are in" in shown
    (row,) = [json.loads(line) for line in (project.artifact("evaluate") / "quarantine.jsonl").read_text().splitlines()]
    assert row["stage"] == "evaluate"
    assert (project.folder / "data" / row["source"]).exists()
    assert row["reason"] == "the image cannot be decoded"


def test_an_mlflow_server_restarted_beside_a_killed_worker_and_hung_at_the_end(
    project: Any, undisturbed: Any, tmp_path: Path
) -> None:
    with Server(tmp_path) as server:
        server.start()
        process = project.start("run", f"tracking.uri={server.url}")
        wait_until(lambda: newest_checkpoint(project) >= 2 * EVERY, process, project)
        server.kill()
        workers = [child for child in family(process) if "RayTrainWorker" in " ".join(child.cmdline())]
        workers[1].kill()
        server.start()
        wait_until(lambda: list(project.store.glob("artifacts/train/*/manifest.json")), process, project)
        server.hang()
        assert process.wait(timeout=280) == 0, project.log.read_text()
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
