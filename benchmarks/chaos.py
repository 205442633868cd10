"""Whole runs under a punisher: does the same command, given again, always come to the same end?

    python -m benchmarks.chaos [--minutes 10] [--mtbf 30] [--seed 0]

A small training on two workers runs once undisturbed. Then it runs again and again, each time in a store of its own,
by turns a folder and a bucket of a real S3 API on loopback, and about every `mtbf` seconds something is done to it, see
`benchmarks.chaos_faults`. All kinds come in a random order, then all again; those that have few moments are waited for.
A run that fails is given again. It must come to the undisturbed run's weights, to the bit, and to its points in MLflow,
each once; and nothing may be left that says "running". Anything else is a loss, and the exit code is 1.

Not among the faults: lost machines.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.chaos_faults import FAULTS, Ordeal, possible
from benchmarks.chaos_store import BUCKET, Connection, object_store
from pipeline.base.errors import ZoetropeError
from pipeline.base.forks import forked_workers
from pipeline.base.keyed import generator
from pipeline.store import open_store

METRICS = ("train/loss", "train/top1", "lr", "epoch", "val/loss", "val/top1")
DISK = "size=512m"
LOOK_S = 0.3
PATIENCE_S = 180.0
"""How long the last kinds of a round wait for their moment; then others may come again before them."""
MOST_STARTS = 30
"""A run that was given so often and has not ended never will."""
HANGS_S = 900.0
"""Nor one to which nothing was done for so long. What hangs in a collective is to end after 300 s."""


@dataclass
class Punisher:
    """Chooses what is done when. All kinds come once, in a random order as far as their moments allow, then all again.

    `left` is what has not had its turn, a new round being added when nothing is left that can be done to this run, or
    when what is left has had no moment for `PATIENCE_S`.
    """

    draws: np.random.Generator
    mtbf_s: float
    until_s: float
    next_s: float = 0.0
    left: list[str] = field(default_factory=list)
    used: Counter[str] = field(default_factory=Counter)

    def strike(self, ordeal: Ordeal) -> str | None:
        """Do what is due, if there is a moment for it; what was done."""
        waited_s = time.monotonic() - self.next_s
        if waited_s < 0 or time.monotonic() > self.until_s:
            return None
        can = possible(ordeal)
        if not {*can} & {*self.left} or (waited_s > PATIENCE_S and {*self.left} != {*FAULTS}):
            self.left += self.draws.permutation(list(FAULTS)).tolist()
        for kind in dict.fromkeys(self.left):
            if kind in can and FAULTS[kind](ordeal):
                self.left.remove(kind)
                self.used[kind] += 1
                self.wait()
                return kind
        return None

    def wait(self) -> None:
        """Until the next fault."""
        self.next_s = time.monotonic() + self.draws.exponential(self.mtbf_s)


def punish(ordeal: Ordeal, punisher: Punisher) -> list[str]:
    """Run to the end; the faults in their order. RuntimeError when it never ends."""
    happened: list[str] = []
    while ordeal.starts < MOST_STARTS:
        ordeal.starts += 1
        ordeal.process, last_s = ordeal.start(), time.monotonic()
        while ordeal.process.poll() is None:
            time.sleep(LOOK_S)
            if kind := punisher.strike(ordeal):
                happened.append(kind)
                last_s = time.monotonic()
            if time.monotonic() - last_s > HANGS_S:
                ordeal.process.kill()
                raise RuntimeError(f"{', '.join(happened)}: it hangs")
        for timer in ordeal.later:
            timer.join()
        if ordeal.process.returncode == 0:
            return happened
    raise RuntimeError(f"{', '.join(happened)}: it was started {MOST_STARTS} times and has not ended")


def outcome(ordeal: Ordeal) -> dict[str, Any]:
    """What a run has come to: its weights, its points in MLflow, and what its records say."""
    from mlflow import MlflowClient

    ordeal.start("ls").wait()
    client = MlflowClient(f"sqlite:///{ordeal.folder / 'mlflow.db'}")
    runs = [run for one in client.search_experiments() for run in client.search_runs([one.experiment_id])]
    points = {
        name: sorted(
            (point.step, point.value) for run in runs for point in client.get_metric_history(run.info.run_id, name)
        )
        for name in METRICS
    }
    store = open_store(ordeal.url)
    (manifest,) = store.artifacts("train")
    trained = store.find("train", manifest["fingerprint"])
    return {
        "weights": trained and trained.whole("model.safetensors").read_bytes(),
        "points": points,
        "MLflow's runs": [run.info.status for run in runs],
        "records left running": [record.content["status"] for record in store.records()].count("running"),
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


def a_recipe(url: str, minutes: float) -> dict[str, Any]:
    """A training of half a minute or, so that a short trial sees its end, of a few seconds, on two idle cores."""
    steps = 600 if minutes > 3 else 200
    train = {"duration": f"{steps}st", "batch_size": 16, "checkpoint": "10st", "evaluate": f"{steps // 2}st"}
    return {
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
        "train": train,
        "cluster": {"workers": 2},
        "store": url,
    }


def an_ordeal(folder: Path, logs: Path, connection: Connection, asked: argparse.Namespace, number: int) -> Ordeal:
    """The run of that number; every second one has its store in the bucket."""
    url = str(folder / "runs") if number % 2 == 0 else f"s3://{BUCKET}/{number}"
    (folder / "recipe.yaml").write_text(yaml.safe_dump(a_recipe(url, asked.minutes)))
    return Ordeal(folder, logs / f"{number}.txt", url, connection, generator("chaos", asked.seed, number))


def differences(ordeal: Ordeal, punisher: Punisher, expected: dict[str, Any]) -> list[str]:
    """Have a run disturbed to its end, and say in what it is not as the undisturbed one."""
    try:
        happened, found = punish(ordeal, punisher), outcome(ordeal)
        wrong = [what for what in expected if found[what] != expected[what]]
        said = f"{', '.join(happened) or 'nothing'}: {f'differs: {wrong}' if wrong else 'same'}"
    except (RuntimeError, ValueError, ZoetropeError) as error:
        wrong = [said := str(error)]
    print(f"{'bucket' if ordeal.is_remote else 'folder'}, {ordeal.starts} starts, {said}")
    if wrong:
        print(ordeal.log.read_text())
    sys.stdout.flush()
    return wrong


def main() -> None:
    """Print a line for each run and a table of the faults; exit code 1 when anything was lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10, help="of faults; the last run then ends undisturbed")
    parser.add_argument("--mtbf", type=float, default=30, help="seconds from fault to fault, on average")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    # The drivers' workers are forks of one server, by which `family` finds them.
    with tempfile.TemporaryDirectory(prefix="zoetrope-") as name, object_store() as connection, forked_workers():
        logs = Path(name)
        os.environ["ZOETROPE_CACHE"] = str(logs / "cache")
        with room() as folder:
            undisturbed = an_ordeal(folder, logs, connection, asked, 0)
            assert undisturbed.start().wait() == 0, undisturbed.log.read_text()
            expected = outcome(undisturbed)
        punisher = Punisher(generator("chaos", asked.seed), asked.mtbf, time.monotonic() + 60 * asked.minutes)
        punisher.wait()
        runs, lost_runs, lost = 0, 0, Counter[str]()
        while time.monotonic() < punisher.until_s:
            runs += 1
            before = punisher.used.copy()
            with room() as folder:
                if differences(an_ordeal(folder, logs, connection, asked, runs), punisher, expected):
                    lost_runs += 1
                    lost += punisher.used - before
    print("\n| fault | times | in runs that were lost |\n|---|---|---|")
    for fault in FAULTS:
        print(f"| {fault} | {punisher.used[fault]} | {lost[fault]} |")
    print(f"\n{runs} runs, {lost_runs} lost")
    sys.exit(lost_runs > 0)


if __name__ == "__main__":
    main()
