"""A real `mlflow server`, killed, hung and restarted."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import requests

from pipeline.tracking.address import Tracking, resolve
from pipeline.tracking.client import client
from pipeline.tracking.runs import end_run, log_files, open_run
from pipeline.tracking.writer import Writer

WAIT_S = 120.0


class Server:
    """An MLflow server on one port and one database, in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        folder = self.folder
        line = f"-m mlflow server -w 1 --host 127.0.0.1 --port {self.port}"
        line += f" --backend-store-uri sqlite:///{folder}/server.db --artifacts-destination {folder}/files"
        self.process = subprocess.Popen(
            [sys.executable, *line.split()],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=(folder / "server.log").open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            try:
                if requests.get(f"{self.url}/health", timeout=5).ok:
                    return
            except requests.RequestException:
                time.sleep(0.2)
        raise AssertionError((folder / "server.log").read_text())

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.kill()


def history(tracking: Tracking, run_id: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client(tracking).get_metric_history(run_id, "loss")]


@pytest.mark.slow
def test_every_point_arrives_once_over_kills_and_restarts(server: Server, tmp_path: Path) -> None:
    server.start()
    tracking = resolve(server.url, tmp_path)
    run_id = open_run(tracking, "study", "run", None, {"lr": 0.1}, {})
    assert run_id is not None
    writer = Writer(tracking, run_id, tmp_path / "spool", system_every_s=None)
    for step in range(600):
        if step == 100:
            assert writer.flush(WAIT_S) == 0
        if step == 200:
            server.kill()
        if step == 400:
            server.start()
        writer.points(step, {"loss": step / 2, "odd": float("nan")})
        time.sleep(0.005)
    assert writer.flush(WAIT_S) == 0

    server.signal(signal.SIGSTOP)  # hung: it takes connections and answers nothing
    for step in range(600, 700):
        writer.points(step, {"loss": step / 2})
    assert writer.close(1.0) == 100
    server.signal(signal.SIGCONT)

    resumed = Writer(tracking, run_id, tmp_path / "spool", system_every_s=None)
    for step in range(650, 750):  # rolled back to 650
        resumed.points(step, {"loss": step / 2})
    assert resumed.close(WAIT_S) == 0
    assert history(tracking, run_id) == [(step, step / 2) for step in range(750)]
    assert len(client(tracking).get_metric_history(run_id, "odd")) == 600

    (tmp_path / "note.txt").write_text("hello")
    log_files(tracking, run_id, {"notes/a.txt": tmp_path / "note.txt"})
    assert [file.path for file in client(tracking).list_artifacts(run_id, "notes")] == ["notes/a.txt"]
    end_run(tracking, run_id, "FINISHED")
    assert client(tracking).get_run(run_id).info.status == "FINISHED"


@pytest.mark.slow
def test_a_server_that_comes_late_gets_the_run_and_its_points(server: Server, tmp_path: Path) -> None:
    tracking = resolve(server.url, tmp_path)
    opening = partial(open_run, tracking, "study", "late", None, {"lr": 0.1}, {})
    writer = Writer(tracking, opening(), tmp_path / "spool", opening, system_every_s=None)
    for step in range(100):
        writer.points(step, {"loss": step / 2})
    assert writer.flush(1.0) == 100
    server.start()
    assert writer.close(WAIT_S) == 0
    run_id = writer.run_id()
    assert run_id is not None
    assert history(tracking, run_id) == [(step, step / 2) for step in range(100)]
    assert client(tracking).get_run(run_id).data.params == {"lr": "0.1"}
