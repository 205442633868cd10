from pathlib import Path

import pytest

from pipeline.tracking.address import resolve
from pipeline.tracking.client import client
from pipeline.tracking.writer import Writer
from tune.tracking import PARENT, SearchTracker, parameters


@pytest.mark.slow
def test_a_parent_and_its_children(tmp_path: Path) -> None:
    tracking = resolve(None, tmp_path)
    tracker = SearchTracker(tracking, "e", tmp_path / "spool", "search-1")
    tracker.points(0, 1, {"val/top1": 0.5})  # before its run is open
    tracker.open(PARENT, "search-1", {"tune.metric": "val/top1"}, {"zoetrope.role": "search"})
    tracker.open(0, "trial-0000", {"optimizer.lr": 0.1}, {})
    tracker.points(0, 2, {"val/top1": 0.6})
    assert tracker.end(0, "FINISHED", {"zoetrope.trial": "stopped"}) == []
    (tmp_path / "best.yaml").write_text("a: 1")
    tracker.files(PARENT, {"best.yaml": tmp_path / "best.yaml"})
    tracker.tag(0, {"zoetrope.best": "true"})
    assert tracker.end(PARENT, "FINISHED") == []

    mlflow = client(tracking)
    (experiment,) = [one for one in mlflow.search_experiments() if one.name == "e"]
    runs = {run.info.run_name: run for run in mlflow.search_runs([experiment.experiment_id])}
    assert set(runs) == {"search-1", "trial-0000"}
    parent, child = runs["search-1"], runs["trial-0000"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.tags["zoetrope.best"] == "true"
    assert child.data.tags["zoetrope.trial"] == "stopped"
    assert child.data.params == {"optimizer.lr": "0.1"}
    assert [p.value for p in mlflow.get_metric_history(child.info.run_id, "val/top1")] == [0.5, 0.6]
    assert [file.path for file in mlflow.list_artifacts(parent.info.run_id)] == ["best.yaml"]

    again = SearchTracker(tracking, "e", tmp_path / "spool", "search-1")  # as `--resume` makes it
    again.open(PARENT, "search-1", {}, {})
    again.open(0, "trial-0000", {}, {})
    again.end(PARENT, "KILLED")  # in mid-trial
    assert [run.info.status for run in mlflow.search_runs([experiment.experiment_id])] == ["KILLED", "KILLED"]


@pytest.mark.slow
def test_children_of_a_search_that_was_killed(tmp_path: Path) -> None:
    """Its tracker has told all that there was to tell."""
    tracking = resolve(None, tmp_path)
    for number in range(2):
        tracker = SearchTracker(tracking, "e", tmp_path / "spool", "search-1")
        tracker.open(PARENT, "search-1", {}, {})
        tracker.open(number, f"trial-{number:04d}", {}, {})
        tracker.end(number, "FINISHED")
    mlflow = client(tracking)
    (experiment,) = [one for one in mlflow.search_experiments() if one.name == "e"]
    runs = {run.info.run_name: run for run in mlflow.search_runs([experiment.experiment_id])}
    assert set(runs) == {"search-1", "trial-0000", "trial-0001"}
    for number in range(2):
        assert runs[f"trial-{number:04d}"].data.tags["mlflow.parentRunId"] == runs["search-1"].info.run_id


@pytest.mark.slow
def test_how_a_trial_ended_waits_for_mlflow(tmp_path: Path) -> None:
    """Nobody listens where MLflow should be; what comes later sends what was kept."""
    tracker = SearchTracker(resolve("http://127.0.0.1:9", tmp_path), "e", tmp_path / "spool", "search-1")
    tracker.open(0, "trial-0000", {}, {})
    (said,) = {line for line in tracker.end(0, "FAILED", {"zoetrope.trial": "failed"}) if "not in MLflow" in line}
    assert "are kept" in said
    tracking = resolve(None, tmp_path)
    writer = Writer(tracking, tmp_path / "spool" / "search-1-0000")
    assert writer.close(60) == (0, 0)
    assert writer.run_id is not None
    run = client(tracking).get_run(writer.run_id)
    assert (run.info.status, run.data.tags["zoetrope.trial"]) == ("FAILED", "failed")


def test_parameters_hold_no_secrets() -> None:
    found = parameters({"a.b": [1], "data.token": "abcdefgh", "u": "https://me:pw@host/x"})
    assert found == {"a.b": [1], "data.token": "***", "u": "https://me:***@host/x"}
