"""What `benchmarks.chaos` does to a run: one function for each kind of fault."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from benchmarks.chaos_store import Connection
from pipeline.store.objects import Objects
from tests.processes import family

ROOT = Path(__file__).parents[1]
AWAY_S = 5.0, 20.0
"""How long a process stands still, a store is cut off, a disk is full."""
ENDS_S = 60.0
"""For what a killed driver has started to end."""
WORKER = "ray::RayTrainWorker"
FEED = "forks/server.py", "multiprocessing.forkserver"
"""Feed workers and their fork servers, where these are forks, and where not."""
STAGES = "ray::ingest", "ray::shard", "ray::train", "ray::evaluate", "ray::export"


@dataclass
class Ordeal:
    """One run, started as often as it takes, and what is done to it."""

    folder: Path
    log: Path
    url: str
    """The store, where it is below the folder or in a bucket."""
    connection: Connection
    draws: np.random.Generator
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    later: list[threading.Timer] = field(default_factory=list)
    """What undoes faults that last a while."""
    damaged: set[str] = field(default_factory=set)

    @property
    def is_remote(self) -> bool:
        """Whether the store is a bucket."""
        return "://" in self.url

    def start(self, verb: str = "run") -> subprocess.Popen[bytes]:
        """The command, its output added to a log."""
        what = str(self.folder / "recipe.yaml") if verb == "run" else self.url
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "RAY_AUTH_MODE": "disabled",
            "ZOETROPE_CACHE": str(self.folder / "cache"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.connection.port}",
        }
        environment.pop("RAY_ADDRESS", None)
        command = [sys.executable, "-m", "pipeline", verb, what]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=environment, start_new_session=True)

    def family(self, *words: str) -> list[psutil.Process]:
        """Descendants of the driver with one of the words in their command line."""
        with suppress(psutil.NoSuchProcess):
            return [child for word in words for child in family(self.process.pid, word)] if self.process else []
        return []

    def one_of(self, *words: str) -> psutil.Process | None:
        """One of them, drawn."""
        there = self.family(*words)
        return there[int(self.draws.integers(len(there)))] if there else None

    def for_a_while(self, undo: Callable[[], object]) -> None:
        """Have `undo` called some seconds from now."""
        self.later.append(threading.Timer(self.draws.uniform(*AWAY_S), undo))
        self.later[-1].start()

    def checkpoints(self) -> list[str]:
        """Keys of those that a training could go on from and nobody has damaged, the newest last."""
        keys = [key for key in self.objects.list("work/train") if key.endswith("/checkpoint.pt") and "/step-" in key]
        whole = [f"work/train/{key}" for key in keys if f"work/train/{key}" not in self.damaged]
        return sorted(whole, key=lambda key: key.split("/")[-2])

    @property
    def objects(self) -> Objects:
        """What lies in the store, wherever that is."""
        return Objects(self.url if self.is_remote else f"file://{self.url}")


def kill(word: str | tuple[str, ...], *while_there: str) -> Callable[[Ordeal], bool]:
    """A fault: SIGKILL for a process with that word in its command line, while there is one with one of the others."""

    def fault(ordeal: Ordeal) -> bool:
        process = ordeal.one_of(*((word,) if isinstance(word, str) else word)) if ordeal.family(*while_there) else None
        if process is None:
            return False
        with suppress(psutil.NoSuchProcess):
            process.kill()
        return True

    return fault


def kill_driver(ordeal: Ordeal) -> bool:
    """SIGKILL for the process that the user started, once stages work."""
    if not ordeal.family(*STAGES):
        return False
    assert ordeal.process
    ordeal.process.kill()
    return True


def stop_a_while(ordeal: Ordeal) -> bool:
    """SIGSTOP for a worker, the tracker or the stage, and SIGCONT later."""
    word = (WORKER, "ray::Tracker", "ray::train")[int(ordeal.draws.integers(3))]
    process = ordeal.one_of(word) if ordeal.family(WORKER) else None
    if process is None:
        return False

    def go_on() -> None:
        with suppress(psutil.NoSuchProcess):
            process.resume()

    with suppress(psutil.NoSuchProcess):
        process.suspend()
        ordeal.for_a_while(go_on)
    return True


def damage(change: Callable[[bytes], bytes]) -> Callable[[Ordeal], bool]:
    """A fault: the driver is killed and the newest checkpoint damaged, so that it is read. One is left whole."""

    def fault(ordeal: Ordeal) -> bool:
        if not ordeal.family(WORKER) or len(ordeal.checkpoints()) < 2:
            return False
        assert ordeal.process
        children = ordeal.family("")
        ordeal.process.kill()
        ordeal.process.wait()
        psutil.wait_procs(children, timeout=ENDS_S)  # until then they may write a newer one
        if len(there := ordeal.checkpoints()) > 1 and (content := ordeal.objects.read(there[-1], 1 << 30)):
            ordeal.objects.write(there[-1], change(content))
            ordeal.damaged.add(there[-1])
        return True

    return fault


def torn(content: bytes) -> bytes:
    """Half of it is gone."""
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """One bit in its middle is another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def fill_disk(ordeal: Ordeal) -> bool:
    """The disk of the store, or of the cache of one that is in a bucket, takes nothing for some seconds."""
    ballast = ordeal.folder / "ballast"
    if ballast.exists() or not ordeal.family(*STAGES):
        return False
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))
    ordeal.for_a_while(ballast.unlink)
    return True


def cut_store(ordeal: Ordeal) -> bool:
    """Connections to the object store are reset for some seconds, or nothing comes through."""
    if ordeal.connection.cut or not ordeal.family(*STAGES):
        return False
    ordeal.connection.set(("reset", "silent")[int(ordeal.draws.integers(2))])
    ordeal.for_a_while(lambda: ordeal.connection.set(None))
    return True


FAULTS: dict[str, Callable[[Ordeal], bool]] = {
    "worker killed": kill(WORKER, WORKER),
    "controller killed": kill("TrainController", WORKER),
    "stage killed": kill("ray::train", WORKER),
    "tracker killed": kill("ray::Tracker", *STAGES),
    "feed worker killed": kill(FEED, WORKER),
    "raylet killed": kill("raylet/raylet", *STAGES),
    "GCS killed": kill("gcs_server", *STAGES),
    "driver killed": kill_driver,
    "stopped a while": stop_a_while,
    "checkpoint torn": damage(torn),
    "checkpoint flipped": damage(flipped),
    "disk full a while": fill_disk,
    "object store cut a while": cut_store,
}
"""What is done, by name. Each says whether there was something to do it to."""


def possible(ordeal: Ordeal) -> list[str]:
    """The kinds that there may be a moment for in this run."""
    never = set() if ordeal.is_remote else {"object store cut a while"}
    if not os.path.ismount(ordeal.folder):
        never.add("disk full a while")
    return [kind for kind in FAULTS if kind not in never]
