"""Trainings tracked by a real `mlflow server` that is killed, hung or restarted, at their start, middle and end."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.cluster.described import experiment
from pipeline.cluster.tracker import SPOOL, Tracker
from pipeline.shards.dataset import Dataset
from pipeline.tracking.address import Tracking, resolve
from pipeline.tracking.client import client
from pipeline.tracking.leftovers import send_leftovers
from pipeline.training.distributed import Process
from pipeline.training.loop import train
from tests.pipeline.tracking.mlflow_server import Server

pytestmark = pytest.mark.slow

WAIT_S = 300.0
Made = dict[str, list[tuple[int, float]]]


class Said(list[str]):
    """Progress of which the words alone are kept."""

    def __call__(self, done: float, total: float | None, note: str = "") -> None: ...

    say = list.append


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Server:
    """One that answers."""
    shared.start()
    return shared


def strike(server: Server, fault: str) -> threading.Thread:
    """Do it; what is returned has ended when a restarted server answers again."""
    if fault == "hung":
        server.hang()
    else:
        server.kill()
    back = threading.Thread(target=server.start if fault == "restarted" else lambda: None)
    back.start()
    return back


def histories(tracking: Tracking, run: Any) -> Made:
    return {
        name: [(point.step, point.value) for point in client(tracking).get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }


@pytest.mark.parametrize("moment", ["start", "middle", "end"])
@pytest.mark.parametrize("fault", ["killed", "hung", "restarted"])
def test_all_arrives_once(
    server: Server, images: Dataset, make_recipe: Callable[..., Any], tmp_path: Path, fault: str, moment: str
) -> None:
    recipe = make_recipe("image", **{"name": f"{fault}-{moment}", "train.duration": "24st", "train.checkpoint": "2st"})
    tracking, said, made = resolve(server.url, tmp_path), Said(), Made()
    (tmp_path / "run").mkdir()
    (tmp_path / "note.txt").write_text("hello")
    strikes = [strike(server, fault)] if moment == "start" else []

    tracker = Tracker(tracking, recipe, tmp_path, tmp_path / "run")
    tracker.attach(said, recipe.name)
    tracker.log_dataset(images.digest, "/data", {"train": 26})
    if moment != "start":
        assert tracker.flush(WAIT_S)

    def on_points(step: int, total: int, metrics: dict[str, float]) -> None:
        if not strikes and step == (total if moment == "end" else total // 2):
            strikes.append(strike(server, fault))
        tracker.points(step, metrics)
        for name, value in metrics.items():
            made.setdefault(name, []).append((step, value))

    train(recipe, images, Process(0, 1, torch.device("cpu")), on_points, lambda *_: None)
    tracker.log_files({"notes/a.txt": tmp_path / "note.txt"})
    said += tracker.end("FINISHED")
    (back,) = strikes
    back.join()
    if fault != "restarted":
        assert any(f"MLflow at {server.url}" in words for words in said)
        assert "the next run on this store, the same one or another, sends them" in said[-1]
        assert (tmp_path / SPOOL / recipe.name).exists()
        server.start()
    deadline = time.monotonic() + WAIT_S
    while list((tmp_path / SPOOL).iterdir()):  # the Tracker's thread may still be in a request that hung
        send_leftovers(tracking, tmp_path / SPOOL)  # as the next run does
        assert time.monotonic() < deadline, said
        time.sleep(0.1)

    mlflow = client(tracking)
    found = mlflow.get_experiment_by_name(experiment(recipe))
    assert found is not None
    (run,) = mlflow.search_runs([found.experiment_id], f"attributes.run_name LIKE '%{recipe.name}%'")
    assert [step for step, _ in made["train/loss"]] == list(range(2, 25, 2))
    assert histories(tracking, run) == made
    assert run.info.status == "FINISHED"
    assert run.data.params["train.duration"] == "24st"
    assert run.inputs is not None
    assert [entry.dataset.digest for entry in run.inputs.dataset_inputs] == [images.digest[:36]]
    assert [file.path for file in mlflow.list_artifacts(run.info.run_id, "notes")] == ["notes/a.txt"]
