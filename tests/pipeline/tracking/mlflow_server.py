"""A real `mlflow server` on loopback that can be killed, hung and started again."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests

START_S = 300.0


class Server:
    """An MLflow server on one port and one database, in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, or wake it up; returns when it answers."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            self._be_there()
            try:
                if requests.get(f"{self.url}/health", timeout=5).ok:
                    return
            except requests.RequestException:
                time.sleep(0.2)
        raise AssertionError((self.folder / "server.log").read_text())

    def _be_there(self) -> None:
        if self.process is None or self.process.poll() is not None:  # its port was somebody else's for a moment
            line = f"-m mlflow server -w 1 --host 127.0.0.1 --port {self.port}"
            line += f" --backend-store-uri sqlite:///{self.folder}/server.db"
            line += f" --artifacts-destination {self.folder}/files"
            self.process = subprocess.Popen(
                [sys.executable, *line.split()],
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
                stdout=(self.folder / "server.log").open("ab"),
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        os.killpg(self.process.pid, signal.SIGCONT)

    def hang(self) -> None:
        """From now on it takes connections and answers nothing."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """From now on nobody listens."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
