import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.tracking.address import Tracking, resolve
from pipeline.tracking.client import client
from pipeline.tracking.leftovers import send_leftovers
from pipeline.tracking.outbox import Outbox


@pytest.fixture(scope="module")
def tracking(mlflow_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    folder = tmp_path_factory.mktemp("store")
    shutil.copy(mlflow_tables, folder)
    return resolve(f"sqlite:///{folder}/mlflow.db", folder)


def leave(spool: Path, key: str, tracking: Tracking, **facts: Any) -> None:
    """What a run leaves that MLflow was not there for: two points and a status."""
    outbox = Outbox(spool / key)
    outbox.update(**{"address": tracking.shown, "experiment": "e", "name": key, "status": "FINISHED", **facts})
    for step in (1, 2):
        outbox.points.append(step, {"loss": step / 2}, 0)
    outbox.close()


def steps(tracking: Tracking, key: str) -> list[int]:
    mlflow = client(tracking)
    ids = [experiment.experiment_id for experiment in mlflow.search_experiments()]
    (run,) = mlflow.search_runs(ids, f"tags.`zoetrope.spool` = '{key}'")
    return [point.step for point in mlflow.get_metric_history(run.info.run_id, "loss")]


def test_runs_that_mlflow_never_heard_of_are_made_and_their_outboxes_go(
    tracking: Tracking, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for key in ("first", "second"):
        leave(tmp_path, key, tracking)
    (tmp_path / ".first.0123").mkdir()  # a removal that was killed
    (tmp_path / "not-ours").mkdir()
    (tmp_path / "a-file").touch()
    send_leftovers(tracking, tmp_path)
    assert [steps(tracking, key) for key in ("first", "second")] == [[1, 2], [1, 2]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-file", "not-ours"]
    assert [message for message in caplog.messages if "has now what it missed of run first" in message]
    send_leftovers(tracking, tmp_path / "nowhere")


def test_one_whose_training_is_not_done_keeps_its_steps_for_a_while(tracking: Tracking, tmp_path: Path) -> None:
    leave(tmp_path, "failed", tracking, status="FAILED")
    for _ in range(2):
        send_leftovers(tracking, tmp_path)
        assert steps(tracking, "failed") == [1, 2]
        assert Outbox(tmp_path / "failed").points.append(2, {"loss": 9.0}, 0) == 0
    os.utime(tmp_path / "failed" / "points.jsonl", (1e9, 1e9))


def test_one_that_was_not_taken_up_for_long_is_forgotten_once_it_was_sent(tracking: Tracking, tmp_path: Path) -> None:
    leave(tmp_path, "old", tracking, status="KILLED")
    os.utime(tmp_path / "old" / "points.jsonl", (1e9, 1e9))
    send_leftovers(tracking, tmp_path)
    assert steps(tracking, "old") == [1, 2]
    send_leftovers(tracking, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_address_gets_nothing_and_is_said(
    tracking: Tracking, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = resolve("http://ann:s3cret@127.0.0.1:9", tmp_path)
    leave(tmp_path, "elsewhere", elsewhere)
    send_leftovers(tracking, tmp_path)
    (words,) = caplog.messages
    assert words.startswith("MLflow at http://127.0.0.1:9 has not all of 1 earlier runs")
    assert "s3cret" not in (tmp_path / "elsewhere" / "run.json").read_text()
    shutil.rmtree(tmp_path / "elsewhere")


def test_a_run_that_goes_on_sends_its_own(tracking: Tracking, tmp_path: Path) -> None:
    leave(tmp_path, "live", tracking)
    live = Outbox(tmp_path / "live")
    send_leftovers(tracking, tmp_path)
    assert live.left() == (2, 1)
    live.close()


def test_while_mlflow_is_away_one_try_will_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    away = resolve("http://127.0.0.1:9", tmp_path)  # discard: nothing listens there
    for key in ("first", "second"):
        leave(tmp_path, key, away)
    send_leftovers(away, tmp_path)
    assert len([message for message in caplog.messages if "does not answer" in message]) == 1
    assert "2 metric points and 1 other results" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]
