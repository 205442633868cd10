"""A whole run whose MLflow server comes when it is over. Others are in test_faults.py and pipeline/tracking."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.pipeline.tracking.mlflow_server import Server
from tests.test_end_to_end import artifacts

pytestmark = pytest.mark.slow


def tracked(server: Server, project: Any) -> tuple[Any, dict[str, list[tuple[int, float]]]]:
    """The only run that the server has, and its points."""
    client = MlflowClient(server.url)
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(ids)
    paths = set(artifacts(client, run.info.run_id))
    assert paths >= {"recipe.yaml", "environment.txt", "figures/first_batch.png", "evaluation/predictions.csv"}
    assert run.data.params["optimizer.lr"] == "0.05"
    assert run.inputs is not None
    assert len(run.inputs.dataset_inputs) == 1
    (model,) = client.search_logged_models(ids)
    assert (model.status.value, model.source_run_id) == ("READY", run.info.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["evaluate/top1"] == project.facts("evaluate")["top1"]
    history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    return run, {name: [(point.step, point.value) for point in points] for name, points in history.items()}


def test_a_server_that_comes_when_the_run_is_over_gets_all_later(
    make_project: Callable[..., Any], tmp_path: Path
) -> None:
    with Server(tmp_path) as server:
        project = make_project("image", **{"tracking.uri": server.url, "train.duration": "30st"})
        shown = project.run()
        assert f"MLflow at {server.url} does not answer" in shown
        assert "the next run on this store, the same one or another, sends them" in shown
        assert project.facts("train")["mlflow_run_id"] is None
        assert "Traceback" not in shown
        server.start()
        again = project.run()
        assert "0 stages to run" in again
        assert "has now what it missed of run tiny-image" in again
        assert list((project.store / "spool").iterdir()) == []
        run, points = tracked(server, project)
        assert [step for step, _ in points["train/loss"]] == sorted({*range(3, 31, 3), 10, 20})
        assert points["val/top1"][-1] == (30, project.facts("train")["val/top1"])
        # What is measured anew of this training goes to its run, though its artifact does not know that run's id.
        project.run("--rerun", "evaluate")
        client = MlflowClient(server.url)
        assert len(client.get_metric_history(run.info.run_id, "evaluate/top1")) == 2
        assert len(client.search_runs([run.info.experiment_id])) == 1
