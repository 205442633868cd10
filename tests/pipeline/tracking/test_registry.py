"""The best of the registered models is found by its alias, whatever the order in which runs end."""

import shutil
from pathlib import Path

import pytest
from mlflow.entities import LoggedModelOutput

from pipeline.tracking.address import Tracking, resolve
from pipeline.tracking.client import client
from pipeline.tracking.mlflow_run import open_run
from pipeline.tracking.registry import BEST, register


@pytest.fixture
def tracking(mlflow_tables: Path, tmp_path: Path) -> Tracking:
    shutil.copy(mlflow_tables, tmp_path)
    return resolve(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)


def a_run(tracking: Tracking, key: str, scores: dict[str, float], has_model: bool = True) -> str:
    mlflow, run_id = client(tracking), open_run(tracking, "e", key, key)
    for name, score in scores.items():
        mlflow.log_metric(run_id, name, score)
    if has_model:
        logged = mlflow.create_logged_model(mlflow.get_run(run_id).info.experiment_id, key, run_id)
        mlflow.finalize_logged_model(logged.model_id, "READY")
        mlflow.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return run_id


def test_the_alias_goes_to_the_best(tracking: Tracking) -> None:
    mlflow = client(tracking)
    runs = {}
    for key, scores, best in (
        ("first", {"evaluate/top1": 0.7}, "first"),
        ("worse", {"evaluate/top1": 0.6}, "first"),
        ("better", {"evaluate/top1": 0.5, "test/top1": 0.8}, "better"),  # a test split counts, where there is one
    ):
        runs[key] = a_run(tracking, key, scores)
        assert register(tracking, runs[key], "mine", "top1") == str(len(runs))
        assert mlflow.get_model_version_by_alias("mine", BEST).run_id == runs[best]
    assert register(tracking, runs["first"], "mine", "top1") == "1"  # again
    assert len(mlflow.search_model_versions("name = 'mine'")) == 3
    outputs = mlflow.get_run(runs["better"]).outputs
    assert outputs is not None
    best_model = outputs.model_outputs[0].model_id
    assert (
        mlflow.get_model_version_by_alias("mine", BEST).source == mlflow.get_logged_model(best_model).artifact_location
    )


def test_without_a_model_or_a_score_nothing_is_registered(tracking: Tracking) -> None:
    bare = a_run(tracking, "bare", {"evaluate/top1": 0.7}, has_model=False)
    unmeasured = a_run(tracking, "unmeasured", {"val/top1": 0.7})
    assert register(tracking, bare, "mine", "top1") is register(tracking, unmeasured, "mine", "top1") is None
    assert list(client(tracking).search_registered_models()) == []
