import logging
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from pipeline.recipe import Recipe
from pipeline.stages.tracker import RUN_ID_FILE, Tracker, flatten
from pipeline.tracking import runs
from pipeline.tracking.address import resolve


class Said:
    def __init__(self) -> None:
        self.words: list[str] = []

    def __call__(self, done: float, total: float | None, note: str = "") -> None: ...

    def say(self, text: str) -> None:
        self.words.append(text)


class Place:
    """A store, and what MLflow knows of it."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.store, self.run_folder, self.recipe = folder, folder / "runs" / "one", recipe
        self.run_folder.mkdir(parents=True)
        self.address = resolve(None, folder)

    def tracker(self) -> Tracker:
        return Tracker(self.address, self.recipe, self.store, self.run_folder)

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.address.uri)

    def runs(self) -> list[Any]:
        return list(self.client.search_runs([e.experiment_id for e in self.client.search_experiments()]))

    def steps(self, run_id: str, name: str = "loss") -> list[int]:
        return sorted(point.step for point in self.client.get_metric_history(run_id, name))


@pytest.fixture
def place(tmp_path: Path, make_recipe: Any) -> Place:
    return Place(tmp_path, make_recipe("image"))


def test_one_run_for_all_stages(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    tracker = place.tracker()
    tracker.take_up(Said(), None)
    tracker.write("spool-of-train")
    tracker.log_dataset("d" * 64, "/data", {"train": 26})
    tracker.log_files({"notes/a.txt": tmp_path / "a.txt"})
    tracker.points(10, {"loss": 1.0})
    run_id = tracker.close(60)
    assert run_id
    tracker.take_up(Said(), run_id)
    tracker.write("spool-of-evaluate")
    tracker.points(0, {"test/top1": 0.5})
    assert tracker.close(60) == run_id
    assert tracker.end("FINISHED") == []
    (run,) = place.runs()
    assert (run.info.run_id, run.info.status, run.info.run_name) == (run_id, "FINISHED", "tiny-image")
    assert run.data.metrics == {"loss": 1.0, "test/top1": 0.5}
    assert run.data.params["optimizer.lr"] == "0.05"
    assert not [name for name in run.data.params if name.startswith(("store", "tracking"))]
    assert run.data.tags["zoetrope.run"] == "one"
    assert run.inputs.dataset_inputs[0].dataset.digest == "d" * 36
    assert [item.path for item in place.client.list_artifacts(run_id, "notes")] == ["notes/a.txt"]
    assert (place.run_folder / RUN_ID_FILE).read_text() == run_id


def test_a_spool_is_taken_up_in_its_run_and_no_step_comes_twice(place: Place) -> None:
    first = place.tracker()
    first.write("spool")
    first.points(10, {"loss": 1.0})
    first.points(20, {"loss": 0.9})
    run_id = first.close(60)
    assert run_id
    again = place.tracker()  # of a driver that was started after the first one was killed
    again.write("spool")
    again.points(20, {"loss": 0.9})
    again.points(30, {"loss": 0.8})
    assert again.close(60) == run_id
    assert place.steps(run_id) == [10, 20, 30]
    assert len(place.runs()) == 1
    other = place.tracker()  # of a training that starts over
    other.write("another-spool")
    other.points(10, {"loss": 1.1})
    assert other.close(60) not in (None, run_id)


def test_what_was_meant_for_a_run_reaches_it_when_it_opens_late(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("a")
    opened = runs.open_run
    monkeypatch.setattr(runs, "open_run", lambda *arguments: None)
    tracker = place.tracker()
    tracker.write("spool")
    tracker.log_files({"a.txt": tmp_path / "a.txt"})
    tracker.points(10, {"loss": 1.0})
    assert tracker.log_model(tmp_path) is None
    assert place.runs() == []
    monkeypatch.setattr(runs, "open_run", opened)
    tracker.points(20, {"loss": 0.9})
    assert tracker._writer
    assert tracker._writer.flush(60) == 0
    run_id = tracker.close(60)
    assert run_id
    assert place.steps(run_id) == [10, 20]
    assert [item.path for item in place.client.list_artifacts(run_id)] == ["a.txt"]


def test_points_that_were_left_behind_are_sent_by_the_next_run(place: Place) -> None:
    tracker = place.tracker()
    tracker.write("spool")
    tracker.points(10, {"loss": 1.0})
    run_id = tracker.close(60)
    assert run_id
    with (place.store / "spool" / "spool" / "points.jsonl").open("a") as spool:
        spool.write('{"step": 20, "time_ms": 1, "metrics": {"loss": 0.9}}\n')
    assert place.steps(run_id) == [10]
    place.tracker()._leftovers.join(timeout=60)
    assert place.steps(run_id) == [10, 20]


def test_warnings_reach_the_stage_that_works_and_else_the_driver(place: Place) -> None:
    tracker, said = place.tracker(), Said()
    log = logging.getLogger("pipeline.tracking.client")
    log.warning("too early")
    tracker.take_up(said, None)
    log.warning("MLflow is away")
    log.info("of no interest")
    assert said.words == ["MLflow is away"]
    assert tracker.end("FAILED") == ["too early"]
    assert not (place.store / "mlflow.db").exists()  # nothing was tracked


def test_flatten_keeps_lists_and_empty_sections() -> None:
    nested = {"a": {"b": {"c": 1}, "d": {}}, "e": [{"f": 2}]}
    assert dict(flatten(nested)) == {"a.b.c": 1, "a.d": {}, "e": [{"f": 2}]}
