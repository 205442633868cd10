import logging
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from pipeline.tracking import writer as writer_module
from pipeline.tracking.address import Tracking, resolve
from pipeline.tracking.client import client
from pipeline.tracking.mlflow_run import open_run
from pipeline.tracking.outbox import Outbox
from pipeline.tracking.writer import Writer

WAIT_S = 300.0


@pytest.fixture(scope="module")
def tracking(mlflow_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    folder = tmp_path_factory.mktemp("store")
    shutil.copy(mlflow_tables, folder)
    return resolve(f"sqlite:///{folder}/mlflow.db", folder)


@pytest.fixture
def run_id(tracking: Tracking) -> str:
    return open_run(tracking, "writer", "run", uuid.uuid4().hex)


def writer_of(tracking: Tracking, run_id: str | None, folder: Path, system_every_s: float | None = None) -> Writer:
    """A Writer whose outbox knows the run, or how it is to be made."""
    outbox = Outbox(folder)
    outbox.update(experiment="writer", name="run", run_id=run_id)
    outbox.close()
    return Writer(tracking, folder, system_every_s)


def history(tracking: Tracking, run_id: str, key: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client(tracking).get_metric_history(run_id, key))


class Gate:
    """A client in front of the real one whose log_batch waits, fails or counts."""

    def __init__(self, tracking: Tracking) -> None:
        self.real = client(tracking)
        self.open = threading.Event()
        self.entered = threading.Event()
        self.down = False
        self.then_fail = False

    def log_batch(self, *args: Any, **kwargs: Any) -> None:
        self.entered.set()
        if self.down:
            raise ConnectionError("http://ann:s3cret@host refused")
        assert self.open.wait(WAIT_S)
        self.real.log_batch(*args, **kwargs)
        if self.then_fail:
            raise TimeoutError("the answer was lost")


@pytest.fixture
def gate(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate(tracking)
    monkeypatch.setattr(writer_module, "client", lambda _: gate)
    return gate


def test_points_arrive_with_steps_and_odd_values(tracking: Tracking, run_id: str, tmp_path: Path) -> None:
    writer = writer_of(tracking, run_id, tmp_path)
    for step in range(50):
        writer.points(step, {"loss": step / 2, "lr": 0.1})
    odd: dict[str, Any] = {"loss": math.nan, "lr": math.inf, "top-1 [%]": 3.0, "text": "x"}
    writer.points(50, odd)
    assert writer.flush(WAIT_S) == (0, 0)
    assert history(tracking, run_id, "loss")[:50] == [(step, step / 2) for step in range(50)]
    assert math.isnan(history(tracking, run_id, "loss")[50][1])
    assert history(tracking, run_id, "lr")[50][1] > 1e300
    assert history(tracking, run_id, "top-1 ___") == [(50, 3.0)]
    assert writer.close(WAIT_S) == (0, 0)


def test_a_hung_server_blocks_nothing(tracking: Tracking, run_id: str, tmp_path: Path, gate: Gate) -> None:
    writer = writer_of(tracking, run_id, tmp_path)
    writer.points(0, {"loss": 0.0})
    assert gate.entered.wait(WAIT_S)  # the shipping thread hangs in its request now
    for step in range(1, 100):
        writer.points(step, {"loss": 0.0})
    assert writer.flush(0.1) == (100, 0)
    gate.open.set()
    assert writer.flush(WAIT_S) == (0, 0)
    assert len(history(tracking, run_id, "loss")) == 100
    writer.close(WAIT_S)


def test_what_a_dead_server_did_not_take_is_said_once_and_sent_by_the_next_writer(
    tracking: Tracking, run_id: str, tmp_path: Path, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    gate.down = True
    with caplog.at_level(logging.WARNING):
        writer = writer_of(tracking, run_id, tmp_path)
        for step in range(10):
            writer.points(step, {"loss": 1.0})
        for _ in range(2):  # two tries, so that the first one has failed for sure
            gate.entered.clear()
            writer.flush(0.05)
            assert gate.entered.wait(WAIT_S)
        assert writer.close(0.1) == (10, 0)
    assert len(caplog.messages) == 2
    assert "fails now (ConnectionError" in caplog.messages[0]
    assert "10 metric points and 0 other results" in caplog.messages[1]
    assert "s3cret" not in caplog.text

    gate.down = False
    gate.open.set()
    after = writer_of(tracking, run_id, tmp_path)
    after.points(8, {"loss": 2.0})  # rolled back
    after.points(10, {"loss": 2.0})
    assert after.close(WAIT_S) == (0, 0)
    assert history(tracking, run_id, "loss") == [(step, 1.0) for step in range(10)] + [(10, 2.0)]


def test_a_batch_whose_answer_was_lost_is_not_there_twice(
    tracking: Tracking, run_id: str, tmp_path: Path, gate: Gate
) -> None:
    gate.open.set()
    gate.then_fail = True
    writer = writer_of(tracking, run_id, tmp_path)
    writer.points(0, {"loss": 1.0, "nan": math.nan})
    assert gate.entered.wait(WAIT_S)
    assert writer.flush(0.5) == (2, 0)
    gate.then_fail = False
    assert writer.close(WAIT_S) == (0, 0)
    assert history(tracking, run_id, "loss") == [(0, 1.0)]
    assert len(history(tracking, run_id, "nan")) == 1


def test_all_that_a_run_gets_arrives_and_a_finished_one_leaves_no_trace(tracking: Tracking, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A")
    writer = writer_of(tracking, None, tmp_path / "key")
    writer.dataset({"name": "digits", "digest": "d", "source": "/data", "profile": {"train": 1}})
    writer.files({"notes/b.txt": tmp_path / "a.txt"})
    writer.points(3, {"loss": 1.0})
    writer.tags({"mlflow.runName": "told"})
    writer.status("FINISHED")
    (tmp_path / "a.txt").unlink()  # what was taken is the Writer's
    assert writer.close(WAIT_S) == (0, 0)
    run_id = writer.run_id
    assert run_id
    run = client(tracking).get_run(run_id)
    assert (run.info.status, run.data.tags["zoetrope.spool"]) == ("FINISHED", "key")
    assert (run.info.run_name, run.info.experiment_id) == ("told", writer.experiment_id)
    assert history(tracking, run_id, "loss") == [(3, 1.0)]
    assert Path(client(tracking).download_artifacts(run_id, "notes/b.txt")).read_text() == "A"
    assert run.inputs is not None
    assert len(run.inputs.dataset_inputs) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused_holds_up_nothing_else(
    tracking: Tracking, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = writer_of(tracking, None, tmp_path / "refused")
    (tmp_path / "a.txt").write_text("A")
    writer.dataset({"name": "x" * 501, "digest": "d", "source": "/data", "profile": {}})  # MLflow takes 500
    writer.files({"a.txt": tmp_path / "a.txt"})
    writer.status("FAILED")
    assert writer.close(WAIT_S) == (0, 0)
    assert "refuses" in caplog.text
    assert writer.run_id
    assert client(tracking).get_run(writer.run_id).info.status == "FAILED"
    assert [file.path for file in client(tracking).list_artifacts(writer.run_id)] == ["a.txt"]


def test_a_link_in_the_outbox_is_not_followed(
    tracking: Tracking, run_id: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "secret").write_text("s3cret")
    outbox = Outbox(tmp_path / "key")
    outbox.keep("files", {}, {"a.txt": tmp_path / "secret"})
    (call,) = outbox.calls()
    (call / "files" / "a.txt").unlink()
    (call / "files" / "a.txt").symlink_to(tmp_path / "secret")
    writer = writer_of(tracking, run_id, tmp_path / "key")
    until_s = time.monotonic() + WAIT_S
    while "holds a link" not in caplog.text and time.monotonic() < until_s:
        time.sleep(0.05)
    assert writer.close(0.5) == (0, 1)
    assert "holds a link" in caplog.text
    assert client(tracking).list_artifacts(run_id) == []


def test_a_spool_that_cannot_be_written_is_said_and_raises_nothing(
    tracking: Tracking, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    writer = writer_of(tracking, run_id, tmp_path)
    monkeypatch.setattr(writer._outbox.points, "append", full)
    writer.points(0, {"loss": 1.0})
    writer.points(1, {"loss": 1.0})
    monkeypatch.undo()
    writer.points(2, {"loss": 1.0})
    assert writer.close(WAIT_S) == (0, 0)
    assert [message for message in caplog.messages if "No space left" in message] == [caplog.messages[0]]
    assert history(tracking, run_id, "loss") == [(2, 1.0)]


def test_the_machine_is_watched_at_the_step_of_training(tracking: Tracking, run_id: str, tmp_path: Path) -> None:
    writer = writer_of(tracking, run_id, tmp_path, 0.01)
    writer.points(7, {"loss": 1.0})
    key = "system/system_memory_usage_percentage"
    for _ in range(600):
        writer.flush(WAIT_S)
        if any(step == 7 for step, _ in history(tracking, run_id, key)):
            break
        threading.Event().wait(0.1)
    writer.close(WAIT_S)
    points = history(tracking, run_id, key)
    assert points[-1][0] == 7
    assert len({step for step, _ in points}) == len(points)


KILLED = """
import sys, time
from pathlib import Path
from pipeline.tracking.address import resolve
from pipeline.tracking.writer import Writer
writer = Writer(resolve(sys.argv[1], Path(".")), Path(sys.argv[2]))
for step in range(30_000):
    writer.points(step, {"loss": step / 2})
    if step == 3000:
        print("going", flush=True)
time.sleep(600)
"""


def test_after_a_kill_every_point_that_was_taken_arrives_once(tracking: Tracking, run_id: str, tmp_path: Path) -> None:
    Outbox(tmp_path).update(experiment="writer", name="run", run_id=run_id)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, tracking.uri, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "going\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    taken = (tmp_path / "points.jsonl").read_bytes().count(b"\n")
    assert taken > 3000
    writer = writer_of(tracking, run_id, tmp_path)
    assert writer.close(WAIT_S) == (0, 0)
    assert history(tracking, run_id, "loss") == [(step, step / 2) for step in range(taken)]
