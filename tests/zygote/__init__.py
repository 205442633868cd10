"""Ray's workers as forks of one process, which has imported what they import.

A whole run starts a dozen of Ray's workers, and each imports torch, pandas, MLflow and the like for longer than it
works. Where `PYTHONPATH` is set, what Ray starts as a worker (`site/sitecustomize.py`) asks the server (`server.py`)
for a fork of itself, which goes on as the worker. Its parent is the server then, not the raylet: see `workers`.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOOK = str(Path(__file__).parent / "site")
"""The path of the hook alone, for processes that are to have the code from elsewhere."""
PYTHONPATH = os.pathsep.join([str(ROOT), HOOK])
"""For processes that start Ray, or a command that does."""
SOCKET = "ZOETROPE_ZYGOTE"
"""The environment variable that has the path of the server's socket; the forks are listed beside it."""


@contextmanager
def zygote() -> Iterator[None]:
    """Run the server while the block lasts. It imports nothing before the first worker asks."""
    with tempfile.TemporaryDirectory(prefix="zygote-") as folder:
        os.environ[SOCKET] = f"{folder}/socket"
        environment = {**os.environ, "HOME": folder, "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(Path(__file__).with_name("server.py")), os.environ[SOCKET]]
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE) as server:  # it ends with its input
            try:
                yield
            finally:
                del os.environ[SOCKET]
                server.kill()


def workers(raylet: int) -> list[int]:
    """Return the process numbers of what was forked for a raylet and runs."""
    forks = Path(os.environ[SOCKET] + ".forks")
    lines = [line.split() for line in forks.read_text().splitlines()] if forks.exists() else []
    return [int(pid) for pid, start, parent in lines if parent == str(raylet) and started(int(pid)) == start]


def started(pid: int) -> str:
    """Return when a process was started, in the system's ticks, by which it differs from later ones of its number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "ended"
