"""Whole runs under a punisher: does the same command, given again, always come to the same end?

    python -m benchmarks.chaos [--minutes 10] [--mtbf 30] [--seed 0]

A small training on two workers runs once undisturbed. Then it runs again and again, each time in a store of its own,
and about every `mtbf` seconds something is done to it: a process is killed or stopped for a while, the newest
checkpoint is torn or flipped, the disk is full for some seconds. The kind that was used least comes next. A run that
fails is given again. It must come to the undisturbed run's weights, to the bit, and to its points in MLflow, each once;
and nothing may be left that says "running". Anything else is a loss, and the exit code is 1.

Not among the faults: an object store that is cut off (tests/pipeline/store has it), and lost machines.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml

from pipeline.base.keyed import generator

ROOT = Path(__file__).parents[1]
RECIPE: dict[str, Any] = {
    "name": "chaos",
    "task": {"kind": "image-classification"},
    "data": {"source": {"kind": "digits", "samples": 300, "size_px": 24}, "split": {"val": 0.2}},
    "shard": {"samples": 64},
    "model": {"kind": "resnet18", "width": 4, "stem": "small"},
    "augment": {
        "train": [{"RandomCrop": {"height": 20, "width": 20}}],
        "eval": [{"CenterCrop": {"height": 20, "width": 20}}],
    },
    "optimizer": {"kind": "sgd", "lr": 0.05, "base_batch": 16},
    "train": {"duration": "600st", "batch_size": 16, "checkpoint": "10st", "evaluate": "300st"},
    "cluster": {"workers": 2},
    "store": "./runs",
}
METRICS = ("train/loss", "train/top1", "lr", "epoch", "val/loss", "val/top1")
DISK = "size=512m"
FULL_S = 5.0
STOPPED_S = (5.0, 20.0)
MOST_STARTS = 20
"""A run that was given so often and has not ended never will."""
CHECKPOINTS = "work/train/*/scratch/ray/*/step-*/checkpoint.pt"


@dataclass
class Ordeal:
    """One run, started as often as it takes, and what is done to it."""

    folder: Path
    draws: np.random.Generator
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    stopped: list[threading.Timer] = field(default_factory=list)

    @property
    def store(self) -> Path:
        """Where it keeps what it makes."""
        return self.folder / "runs"

    def start(self, verb: str = "run") -> subprocess.Popen[bytes]:
        """The command, its output added to a log."""
        what = str(self.folder / "recipe.yaml") if verb == "run" else str(self.store)
        with (self.folder / "log.txt").open("ab") as log:
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}
            command = [sys.executable, "-m", "pipeline", verb, what]
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=environment, start_new_session=True)

    def family(self, word: str) -> list[psutil.Process]:
        """Descendants of the driver with a word in their command line."""
        found = []
        if self.process:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(self.process.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        found += [child] if word in " ".join(child.cmdline()) else []
        return found

    def one_of(self, word: str) -> psutil.Process | None:
        """One of them, drawn."""
        there = self.family(word)
        return there[int(self.draws.integers(len(there)))] if there else None

    def newest_checkpoint(self) -> Path | None:
        """The file that a training would go on from."""
        return max(self.store.glob(CHECKPOINTS), key=lambda path: path.parent.name, default=None)


def kill(word: str) -> Callable[[Ordeal], bool]:
    """A fault: SIGKILL for a process with that word in its command line, while there is a training."""

    def fault(ordeal: Ordeal) -> bool:
        process = ordeal.one_of(word) if ordeal.family("RayTrainWorker") else None
        if process is None:
            return False
        with suppress(psutil.NoSuchProcess):
            process.kill()
        return True

    return fault


def kill_driver(ordeal: Ordeal) -> bool:
    """SIGKILL for the process that the user started, once it trains."""
    if not ordeal.family("RayTrainWorker"):
        return False
    assert ordeal.process
    ordeal.process.kill()
    return True


def stop_a_while(ordeal: Ordeal) -> bool:
    """SIGSTOP for a worker, the tracker or the stage, and SIGCONT later."""
    word = ("RayTrainWorker", "ray::Tracker", "ray::train")[int(ordeal.draws.integers(3))]
    if (process := ordeal.one_of(word)) is None:
        return False

    def go_on() -> None:
        with suppress(psutil.NoSuchProcess):
            process.resume()

    with suppress(psutil.NoSuchProcess):
        process.suspend()
        ordeal.stopped.append(threading.Timer(ordeal.draws.uniform(*STOPPED_S), go_on))
        ordeal.stopped[-1].start()
    return True


def damage(change: Callable[[Path], None]) -> Callable[[Ordeal], bool]:
    """A fault: the newest checkpoint is damaged and the driver killed, so that it is read."""

    def fault(ordeal: Ordeal) -> bool:
        if len(list(ordeal.store.glob(CHECKPOINTS))) < 2 or not kill_driver(ordeal):
            return False
        assert ordeal.process
        ordeal.process.wait()
        if newest := ordeal.newest_checkpoint():
            change(newest)
        return True

    return fault


def tear(path: Path) -> None:
    """Half of it is gone."""
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    """One bit in its middle is another."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def fill_disk(ordeal: Ordeal) -> bool:
    """The store takes nothing for some seconds."""
    if not os.path.ismount(ordeal.folder) or not ordeal.family("RayTrainWorker"):
        return False
    ballast = ordeal.folder / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))
    time.sleep(FULL_S)
    ballast.unlink()
    return True


FAULTS: dict[str, Callable[[Ordeal], bool]] = {
    "worker killed": kill("RayTrainWorker"),
    "controller killed": kill("TrainController"),
    "stage killed": kill("ray::train"),
    "tracker killed": kill("ray::Tracker"),
    "feed worker killed": kill("multiprocessing.forkserver"),
    "raylet killed": kill("raylet/raylet"),
    "GCS killed": kill("gcs_server"),
    "driver killed": kill_driver,
    "stopped a while": stop_a_while,
    "checkpoint torn": damage(tear),
    "checkpoint flipped": damage(flip),
    "disk full": fill_disk,
}
"""What is done, by name. Each says whether there was something to do it to."""


def punish(ordeal: Ordeal, used: Counter[str], until_s: float, mtbf_s: float) -> list[str]:
    """Run to the end, disturbed until `until_s`; the faults in their order. RuntimeError when it never ends."""
    happened: list[str] = []
    next_s = time.monotonic() + ordeal.draws.exponential(mtbf_s)
    while True:
        ordeal.starts += 1
        if ordeal.starts > MOST_STARTS:
            raise RuntimeError(f"it was started {MOST_STARTS} times and has not ended")
        ordeal.process = ordeal.start()
        while ordeal.process.poll() is None:
            time.sleep(0.1)
            if next_s <= time.monotonic() < until_s:
                order = sorted(FAULTS, key=lambda name: (used[name], ordeal.draws.random()))
                if (done := next((name for name in order if FAULTS[name](ordeal)), None)) is not None:
                    used[done] += 1
                    happened.append(done)
                    next_s = time.monotonic() + ordeal.draws.exponential(mtbf_s)
        for timer in ordeal.stopped:
            timer.join()
        if ordeal.process.returncode == 0:
            return happened


def outcome(ordeal: Ordeal) -> dict[str, Any]:
    """What a run has come to: its weights, its points in MLflow, and what its records say."""
    from mlflow import MlflowClient

    ordeal.start("ls").wait()
    client = MlflowClient(f"sqlite:///{ordeal.store / 'mlflow.db'}")
    runs = [run for one in client.search_experiments() for run in client.search_runs([one.experiment_id])]
    points = {
        name: sorted(
            (point.step, point.value) for run in runs for point in client.get_metric_history(run.info.run_id, name)
        )
        for name in METRICS
    }
    (weights,) = ordeal.store.glob("artifacts/train/*/model.safetensors")
    records = [json.loads(path.read_text())["status"] for path in ordeal.store.glob("runs/*/run.json")]
    return {
        "weights": weights.read_bytes(),
        "points": points,
        "MLflow's runs": [run.info.status for run in runs],
        "records left running": records.count("running"),
    }


@contextmanager
def room() -> Iterator[Path]:
    """A folder on a small disk of its own where this user may mount one, else a plain one."""
    with tempfile.TemporaryDirectory(prefix="zoetrope-") as name:
        is_mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", name], capture_output=True)
        try:
            yield Path(name)
        finally:
            if is_mounted.returncode == 0:
                subprocess.run(["umount", "-l", name], check=False)


def main() -> None:
    """Print a line for each run and a table of the faults; exit code 1 when anything was lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--mtbf", type=float, default=30, help="seconds from fault to fault, on average")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    with tempfile.TemporaryDirectory(prefix="zoetrope-") as name:
        first = Ordeal(Path(name), generator("chaos", asked.seed))
        (first.folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
        assert first.start().wait() == 0, (first.folder / "log.txt").read_text()
        expected, used, lost = outcome(first), Counter[str](), Counter[str]()
        until_s, number = time.monotonic() + 60 * asked.minutes, 0
        while time.monotonic() < until_s:
            number += 1
            with room() as folder:
                ordeal = Ordeal(folder, generator("chaos", asked.seed, number))
                shutil.copy(first.folder / "recipe.yaml", folder)
                for stage in ("ingest", "shard"):
                    shutil.copytree(first.store / "artifacts" / stage, ordeal.store / "artifacts" / stage)
                try:
                    happened, found = punish(ordeal, used, until_s, asked.mtbf), outcome(ordeal)
                    wrong = [what for what in expected if found[what] != expected[what]]
                except RuntimeError as error:
                    happened, wrong = ["?"], [str(error)]
                lost.update(happened if wrong else ())
                said = f"differs: {', '.join(wrong)}" if wrong else "same"
                print(f"run {number}: {ordeal.starts} starts, {', '.join(happened) or 'nothing'}: {said}", flush=True)
                if wrong:
                    print((ordeal.folder / "log.txt").read_text(), flush=True)
    print("\n| fault | times | in runs that were lost |\n|---|---|---|")
    for fault in FAULTS:
        print(f"| {fault} | {used[fault]} | {lost[fault]} |")
    sys.exit(sum(lost.values()) > 0)


if __name__ == "__main__":
    main()
