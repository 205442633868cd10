"""The workers of a Ray of one's own as forks of one process, which has imported what they import.

A run starts a dozen of Ray's workers, and each imports torch, MLflow and the like for longer than it works. With
`HOOK` in `PYTHONPATH`, what Ray starts as a worker (`site/sitecustomize.py`) asks the server (`server.py`) for a fork
of itself, which goes on as the worker. Its parent is the server then, not the raylet: see `workers`.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
HOOK = str(Path(__file__).parent / "site")
"""For `PYTHONPATH`."""
SOCKET = "ZOETROPE_FORKS"
"""The environment variable that has the path of the server's socket; the forks are listed beside it. Empty: none."""
GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Of NVIDIA's and AMD's drivers, and Windows' for Linux. CUDA does not survive a fork, and imports may look for it."""


@contextmanager
def forked_workers() -> Iterator[None]:
    """Let the workers of a Ray that is started in this block be forks.

    Of a server that is there already, else of one that ends with the block. Not where `ZOETROPE_FORKS` is empty, and
    not on machines with a GPU or without Linux.
    """
    is_one_there = os.environ.get(SOCKET)
    if is_one_there == "" or sys.platform != "linux" or any(map(os.path.exists, GPU_DEVICES)):
        yield
        return
    with ExitStack() as stack:
        if not is_one_there:
            with suppress(OSError):  # no folder for the socket: Ray will say so, or can do with less
                stack.enter_context(running_server(at_once=True))
        before = os.environ.get("PYTHONPATH", "")
        path = [part for part in before.split(os.pathsep) if part not in ("", HOOK)]
        os.environ["PYTHONPATH"] = os.pathsep.join([HOOK, *path])
        try:
            yield
        finally:
            os.environ["PYTHONPATH"] = before


@contextmanager
def running_server(at_once: bool = False, **environment: str) -> Iterator[None]:
    """Run the server while the block lasts, with `environment` besides.

    at_once: whether its imports, which take some seconds, begin before the first worker asks
    """
    with tempfile.TemporaryDirectory(prefix="zoetrope-forks-") as folder:
        os.environ[SOCKET] = f"{folder}/socket"
        # Libraries read how many threads to use while they are imported; `threads.as_given` has the rest.
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": str(ROOT), **environment}
        command = [sys.executable, str(Path(__file__).with_name("server.py")), os.environ[SOCKET]]
        command += ["at-once"] if at_once else []
        # A session of its own: Ctrl-C is for the driver, and the server ends with its input. It says nothing: where it
        # cannot work, each worker imports for itself.
        quiet: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, env=environment, start_new_session=True, **quiet) as process:
            try:
                yield
            finally:
                del os.environ[SOCKET]
                process.kill()


def workers(raylet: int) -> list[int]:
    """Return the process numbers of what was forked for a raylet, by the server that this process knows, and runs."""
    forks = Path(os.environ.get(SOCKET, "") + ".forks")
    lines = [line.split() for line in forks.read_text().splitlines()] if forks.exists() else []
    return [int(pid) for pid, start, parent in lines if parent == str(raylet) and started(int(pid)) == start]


def started(pid: int) -> str:
    """Return when a process was started, in the system's ticks, by which it differs from later ones of its number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "ended"
