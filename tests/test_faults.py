"""What kills and signals leave behind, and that the same command goes on from there to the same result."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.pipeline.tracking.mlflow_server import Server
from tests.test_tracking import tracked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# A checkpoint takes about half a second, so there is time to disturb a training between two of them.
CHANGES = {"cluster.workers": 2, "train.duration": "30ep", "train.checkpoint": "6st", "train.evaluate": "15ep"}
STEPS = 90
CHECKPOINTS = "work/train/*/scratch/ray/*/step-*"


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


def disturbed_in_mid_training(project: Any) -> subprocess.Popen[str]:
    """A run that has written two checkpoints and has many to go."""
    process: subprocess.Popen[str] = project.start("run")
    wait_until(lambda: len(list(project.store.glob(CHECKPOINTS))) >= 2, process, project)
    return process


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


def test_a_killed_training_worker(project: Any, undisturbed: Any) -> None:
    process = disturbed_in_mid_training(project)
    workers = [child for child in family(process) if "RayTrainWorker" in " ".join(child.cmdline())]
    assert len(workers) == 2
    workers[1].kill()
    assert process.wait(timeout=280) == 0, project.log.read_text()
    check_same_result(project, undisturbed)


def test_a_killed_driver(project: Any, undisturbed: Any) -> None:
    process = disturbed_in_mid_training(project)
    children = family(process)
    process.kill()
    process.wait()
    check_gone(children)
    (left,) = project.mlflow_runs()
    assert left.info.status == "RUNNING"  # nobody was there to say otherwise
    assert not (project.store / "artifacts" / "train").exists()
    project.run()
    assert check_same_result(project, undisturbed) == left.info.run_id


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped(project: Any, undisturbed: Any, number: signal.Signals) -> None:
    process = disturbed_in_mid_training(project)
    children = family(process)
    began_s = time.monotonic()
    os.kill(process.pid, number)
    assert process.wait(timeout=60) == 130, project.log.read_text()
    took_s = time.monotonic() - began_s
    shown = project.log.read_text()
    assert "Traceback" not in shown
    assert shown.rstrip().endswith("Stopped. The same command goes on from here.")
    check_gone(children)
    (left,) = project.mlflow_runs()
    assert left.info.status == "KILLED"
    assert took_s < 30
    project.run()
    assert check_same_result(project, undisturbed) == left.info.run_id


def test_ctrl_c_in_a_terminal_reaches_every_process_and_still_ends_cleanly(project: Any, undisturbed: Any) -> None:
    process = disturbed_in_mid_training(project)
    children = family(process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130, project.log.read_text()
    assert "Traceback" not in project.log.read_text()
    check_gone(children)
    (left,) = project.mlflow_runs()
    assert left.info.status == "KILLED"


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
        wait_until(lambda: len(list(project.store.glob(CHECKPOINTS))) >= 2, process, project)
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
