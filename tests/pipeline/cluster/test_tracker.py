import json
import logging
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import ray
from mlflow import MlflowClient

from pipeline.cluster.described import Typed
from pipeline.cluster.tracker import RUN_ID_FILE, SPOOL, Tracker, wait_until_sent
from pipeline.recipe import Recipe
from pipeline.tracking.address import resolve
from pipeline.tracking.leftovers import send_leftovers


class Said:
    def __init__(self) -> None:
        self.words: list[str] = []

    def __call__(self, done: float, total: float | None, note: str = "") -> None: ...

    def say(self, text: str) -> None:
        self.words.append(text)


class Place:
    """A store, and what MLflow knows of it."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.store, self.recipe = folder, recipe
        self.address = resolve(None, folder)

    def tracker(self, run: str = "one", *changes: str) -> Tracker:
        self.run_folder = self.store / "runs" / run
        self.run_folder.mkdir(parents=True, exist_ok=True)
        typed = Typed("recipes/tiny.yaml", changes)
        return Tracker(self.address, self.recipe, self.store, self.run_folder, typed)

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.address.uri)

    def runs(self) -> list[Any]:
        return list(self.client.search_runs([e.experiment_id for e in self.client.search_experiments()]))

    def steps(self, run_id: str, name: str = "loss") -> list[int]:
        return sorted(point.step for point in self.client.get_metric_history(run_id, name))


@pytest.fixture
def place(mlflow_tables: Path, tmp_path: Path, make_recipe: Any) -> Place:
    shutil.copy(mlflow_tables, tmp_path)
    return Place(tmp_path, make_recipe("image"))


def test_one_run_for_all_stages(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    tracker = place.tracker()
    tracker.attach(Said(), "key")
    tracker.log_dataset("d" * 64, "/data", {"train": 26})
    tracker.log_files({"notes/a.txt": tmp_path / "a.txt"})
    tracker.points(10, {"loss": 1.0})
    run_id = tracker.flush(60)
    assert run_id
    assert place.client.get_run(run_id).info.status == "RUNNING"
    assert (place.run_folder / RUN_ID_FILE).read_text() == run_id
    tracker.attach(Said(), "key", run_id)
    tracker.points(0, {"evaluate/top1": 0.5}, "evaluation")
    assert tracker.end("FINISHED") == []
    (run,) = place.runs()
    assert (run.info.run_id, run.info.status, run.info.run_name) == (run_id, "FINISHED", "tiny-image")
    assert run.data.metrics == {"loss": 1.0, "evaluate/top1": 0.5}
    assert run.data.params["optimizer.lr"] == "0.05"
    assert not [name for name in run.data.params if name.startswith(("store", "tracking"))]
    assert run.data.tags["zoetrope.run"] == "one"
    assert run.inputs.dataset_inputs[0].dataset.digest == "d" * 36
    assert [item.path for item in place.client.list_artifacts(run_id, "notes")] == ["notes/a.txt"]
    assert list((place.store / SPOOL).iterdir()) == []


def test_a_run_says_what_it_is_and_how_good(place: Place) -> None:
    tracker = place.tracker("one", "optimizer.lr=0.02", "store=/elsewhere", "tracking.uri=https://me:s3cret@host")
    tracker.attach(Said(), "key")
    assert tracker.experiment_id() is None
    tracker.tell("26 train, 7 val")
    run_id = str(tracker.flush(60))
    before = place.client.get_run(run_id)
    assert before.info.run_name == "tiny-image optimizer.lr=0.02"
    assert tracker.experiment_id() == before.info.experiment_id
    tracker.tell("26 train, 7 val", "top-1 71.4%")
    tracker.end("FINISHED")
    run = place.client.get_run(run_id)
    assert run.info.run_name == "top-1 71.4%: tiny-image optimizer.lr=0.02"
    assert "**top-1 71.4%**" in run.data.tags["mlflow.note.content"]
    assert "26 train, 7 val" in run.data.tags["mlflow.note.content"]
    assert run.data.tags["mlflow.source.name"] == "recipes/tiny.yaml"
    assert run.data.tags["mlflow.source.type"] == "LOCAL"
    assert re.fullmatch("[0-9a-f]{40}", run.data.tags["mlflow.source.git.commit"])
    assert "CPU cores" in run.data.tags["zoetrope.machine"]
    assert "s3cret" not in str(run.data.tags)


def test_a_training_is_taken_up_in_its_run_and_no_step_comes_twice(place: Place) -> None:
    first = place.tracker()
    first.attach(Said(), "key")
    first.points(10, {"loss": 1.0})
    first.points(20, {"loss": 0.9})
    run_id = first.flush(60)
    assert run_id
    assert first.end("FAILED") == []
    assert place.client.get_run(run_id).info.status == "FAILED"
    again = place.tracker("two")  # of a driver that was started then
    again.attach(Said(), "key")
    again.points(20, {"loss": 0.9})
    again.points(30, {"loss": 0.8})
    assert again.flush(60) == run_id
    assert place.client.get_run(run_id).info.status == "RUNNING"
    assert place.steps(run_id) == [10, 20, 30]
    assert len(place.runs()) == 1
    other = place.tracker("three")  # of a training that starts over
    other.attach(Said(), "another-key")
    other.points(10, {"loss": 1.1})
    assert other.flush(60) not in (None, run_id)
    for tracker in (again, other):
        tracker.end("FINISHED")


def test_a_measurement_made_anew_goes_to_the_run_of_its_training(place: Place, make_recipe: Any) -> None:
    trained = place.tracker()
    trained.attach(Said(), "key")
    run_id = trained.flush(60)
    trained.end("FINISHED")
    place.recipe = make_recipe("image", **{"tracking.experiment": "another"})
    for maker in ("evaluation", "another", "another"):
        tracker = place.tracker(maker)
        tracker.attach(Said(), "key", run_id)
        tracker.points(0, {"evaluate/top1": 0.5}, maker)
        assert tracker.flush(60) == run_id
        assert tracker.end("FAILED") == []
    assert place.steps(str(run_id), "evaluate/top1") == [0, 0]


def test_what_was_left_behind_is_sent_by_the_next_run(place: Place) -> None:
    killed = place.tracker()
    killed.attach(Said(), "key")
    run_id = killed.flush(60)
    assert run_id
    killed.end("KILLED")
    with (place.store / SPOOL / "key" / "points.jsonl").open("a") as points:
        points.write('{"step": 20, "time_ms": 1, "metrics": {"loss": 0.9}}\n')
    assert place.steps(run_id) == []
    send_leftovers(place.address, place.store / SPOOL)
    assert place.steps(run_id) == [20]


def test_one_that_follows_a_dead_one_goes_on_where_it_was(place: Place) -> None:
    """Ray starts it with the same arguments, and makes the calls once more that the dead one did not answer."""
    dead = place.tracker()
    dead.attach(Said(), "key")
    dead.points(10, {"loss": 1.0})
    run_id = dead.flush(60)
    again = place.tracker()
    again.points(10, {"loss": 1.0})
    again.points(20, {"loss": 0.9})
    assert again.flush(60) == run_id
    assert place.steps(str(run_id)) == [10, 20]
    said = Said()
    again.attach(said, "key")
    assert again._voice.progress is said
    for tracker in (again, dead):
        tracker.end("FINISHED")
    assert [run.info.run_id for run in place.runs()] == [run_id]


@pytest.mark.parametrize(
    ("ended", "status"), [("done", "FINISHED"), ("failed", "FAILED"), ("interrupted", "KILLED"), ("running", "RUNNING")]
)
def test_a_run_that_nobody_ended_ends_as_its_record_says(place: Place, ended: str, status: str) -> None:
    killed = place.tracker()
    killed.attach(Said(), "key")
    killed.points(10, {"loss": 1.0})
    run_id = str(killed.flush(60))
    assert killed._writer
    killed._writer._outbox.close()  # as the kernel does for a killed process
    (place.run_folder / "run.json").write_text(json.dumps({"status": ended}))
    send_leftovers(place.address, place.store / SPOOL)
    assert place.client.get_run(run_id).info.status == status


def test_a_store_that_takes_nothing_is_said(place: Place) -> None:
    (place.store / SPOOL).mkdir()
    (place.store / SPOOL / "key").write_text("a file in the way")
    tracker, said = place.tracker(), Said()
    tracker.attach(said, "key")
    tracker.points(10, {"loss": 1.0})
    assert tracker.flush(60) is None
    assert len(said.words) == 1
    assert said.words[0].startswith("MLflow gets nothing of this run:")
    assert tracker.end("FINISHED") == []


def test_warnings_reach_the_stage_that_works_and_else_the_driver(tmp_path: Path, make_recipe: Any) -> None:
    place = Place(tmp_path, make_recipe("image"))
    tracker, said = place.tracker(), Said()
    log = logging.getLogger("pipeline.tracking.writer")
    log.warning("too early")
    tracker._voice.progress = said
    log.warning("MLflow is away")
    log.info("of no interest")
    assert said.words == ["MLflow is away"]
    assert tracker.end("FAILED") == ["too early"]
    assert not (place.store / "mlflow.db").exists()  # nothing was tracked


class Keeper:
    def __init__(self, can_begin: bool = True) -> None:
        if not can_begin:
            raise OSError("no room")

    def points(self, step: int) -> None:
        if step < 0:
            raise ValueError("no step")
        time.sleep(step)


def test_what_a_tracker_that_is_gone_for_good_was_sent_is_not_taken_as_kept(ray_of_two: None) -> None:
    """As where the driver was killed, whose actors Ray ends before the training: a checkpoint must not go beyond it."""
    remote: Any = ray.remote
    keeper = remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Keeper).remote()
    wait_until_sent(keeper.points.remote(0), keeper.points.remote(-1))
    on_the_way = keeper.points.remote(60)
    ray.kill(keeper)
    with pytest.raises(ray.exceptions.ActorDiedError):
        wait_until_sent(on_the_way)
    never = remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Keeper).remote(can_begin=False)
    wait_until_sent(never.points.remote(0))  # the training goes on without a tracker that cannot begin
