"""Nodes of a Ray cluster on this machine: each with a raylet of its own, started as docs/cluster.md says."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.processes import PYTHONPATH, family


class Node:
    """A node of one CPU. A SIGTERM to its `process` makes Ray say that the node will go, and take it away in 30 s."""

    def __init__(self, folder: Path, name: str, *options: str) -> None:
        home = folder / name
        home.mkdir()
        environment = {
            **os.environ,
            "RAY_AUTH_MODE": "disabled",
            "HOME": str(home),
            "ZOETROPE_CACHE": str(home / "cache"),
            "PYTHONPATH": PYTHONPATH,
        }
        environment.pop("RAY_ADDRESS", None)
        self.home, log = home, home / "log"
        ray = str(Path(sys.executable).with_name("ray"))
        command = [ray, "start", "--block", "--num-cpus=1", "--object-store-memory=100000000", *options]
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment, start_new_session=True
            )
        wait_until(lambda: "Ray runtime started" in log.read_text(), log, self.process)
        (self.raylet,) = family(self.process.pid, "/raylet/raylet ", recursive=False)

    def training_workers(self) -> int:
        """How many it has."""
        with suppress(psutil.NoSuchProcess):
            return len(family(self.raylet.pid, "RayTrainWorker", recursive=False))
        return 0

    def kill(self) -> None:
        """Lose the node, all of its processes at once."""
        with suppress(psutil.NoSuchProcess):
            whole = psutil.Process(self.process.pid)
            for process in [whole, *family(whole.pid)]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self.process.wait()


class Cluster:
    """A head, and nodes that join it."""

    def __init__(self, folder: Path) -> None:
        self.folder, port, dashboard = folder, _free_port(), _free_port()
        self.address, self.api = f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}"
        options = ("--head", f"--port={port}", f"--dashboard-port={dashboard}", f"--temp-dir={folder / 'ray'}")
        self.nodes = [Node(folder, "head", *options)]

    def add(self, *options: str) -> Node:
        """One more node."""
        self.nodes.append(Node(self.folder, f"node-{len(self.nodes)}", f"--address={self.address}", *options))
        return self.nodes[-1]

    def tasks(self, name: str) -> Counter[str]:
        """How many tasks of a name ran on each node, by what Ray's dashboard knows."""
        from ray.util.state import list_tasks

        found = list_tasks(address=self.api, filters=[("name", "=", name)], limit=1000)
        return Counter(str(task.node_id) for task in found)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster of a head alone; all of it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="nodes-"))  # a short path, as sockets need it
    cluster = Cluster(folder)
    try:
        yield cluster
    finally:
        for node in reversed(cluster.nodes):
            node.kill()
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(ready: Callable[[], Any], log: Path, process: subprocess.Popen[Any], timeout_s: float = 500) -> Any:
    """What `ready` returns once it is true, while the process lives."""
    until_s = time.monotonic() + timeout_s
    while not (found := ready()):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until_s, log.read_text()
        time.sleep(0.05)
    return found


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])
