"""The feed of images against the least work with cv2 and against other feeds, on the same JPEGs in the same run.

    python -m benchmarks.feed_images [--seconds 5] [--rounds 3] [--workers 2]
    python -m benchmarks.feed_images --epochs 10      memory of the feed's processes, epoch by epoch
    python -m benchmarks.feed_images --only "floor" "ours" "ours, all kept"

"All kept" and "half kept" are of the second epoch on with `feed.cache`; wanted: 3x the floor, where all are. Wanted of
others: 0.85 of the floor (cv2 decode, crop and flip on one core, times the cores), 3x webdataset with PIL,
albumentations and Normalize, 1.5x the best peer. Feeds take turns, each in a process of its own; the table has the
median of the rounds: samples a second by the clock, and a second of processor time, which other work on the machine
disturbs less. Peers that are not installed are left out.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import psutil

from benchmarks.feed_peers import FEEDS
from benchmarks.feed_pictures import make_data, source
from pipeline.feed.local import LocalFeed

WARM_UP_S = 1.0


def family() -> list[psutil.Process]:
    """This process and all that came of it."""
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def processor_s() -> float:
    """What the family has used up to now."""
    total = 0.0
    for process in family():
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def measure(name: str, folder: Path, workers: int, seconds: float) -> None:
    """Take batches for some seconds; print samples a second, by the clock and by processor time."""
    taken = FEEDS[name](folder, workers)
    next(taken)
    warm_s, samples = time.perf_counter() + WARM_UP_S, 0
    while time.perf_counter() < warm_s:  # what was made ahead does not count
        next(taken)
    began_s, used_s = time.perf_counter(), processor_s()
    while (took_s := time.perf_counter() - began_s) < seconds:
        samples += len(next(taken))
    print(json.dumps([samples / took_s, samples / (processor_s() - used_s)]), flush=True)
    for process in family()[:0:-1]:
        process.kill()
    os._exit(0)  # loaders that are left in the middle of an epoch take their time to end


def compare(folder: Path, workers: int, seconds: float, rounds: int, only: list[str]) -> None:
    """The table."""
    found: dict[str, list[list[float]]] = {}
    for turn in range(rounds):
        for name in only:
            if turn and name not in found:
                continue
            command = [sys.executable, "-m", "benchmarks.feed_images", "--workers", str(workers)]
            command += ["--seconds", str(seconds), "--feed", name, "--folder", str(folder)]
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
            try:
                said, errors = process.communicate(timeout=300 + seconds)
            except subprocess.TimeoutExpired:
                said, errors = "", "no answer"
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if said:
                found.setdefault(name, []).append(json.loads(said.splitlines()[-1]))
            else:
                print(f"{name}: does not run here: {errors.strip().splitlines()[-1]}", flush=True)
    medians = {name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in found.items()}
    floor = medians["floor"]
    print(
        f"{'':20}{'samples/s':>10}{'of floor':>10}{'ours is':>9}  |{'a CPU second':>13}{'of floor':>10}{'ours is':>9}"
    )
    for name, (clock, processor) in medians.items():
        cores = 1 if name == "floor" else workers
        ours = medians["ours"]
        print(
            f"{name:20}{clock:10.0f}{clock / (floor[0] * cores):10.2f}{ours[0] / clock:8.2f}x  |"
            f"{processor:13.0f}{processor / floor[1]:10.2f}{ours[1] / processor:8.2f}x"
        )


def memory(folder: Path, workers: int, epochs: int) -> None:
    """MiB of this process and of its workers (without what they share), at the end of each epoch."""
    made = source(folder)
    with closing(LocalFeed(made, range(epochs * made.steps), workers, 120.0)) as feed:
        for i, _ in enumerate(feed, 1):
            if i % made.steps == 0:
                own = [
                    process.memory_full_info().uss / 2**20
                    for process in (psutil.Process(w.process.pid) for w in feed.workers)
                ]
                mine = psutil.Process().memory_full_info().uss / 2**20
                print(
                    f"epoch {i // made.steps:2d}: this process {mine:.1f}, workers {', '.join(f'{o:.1f}' for o in own)}"
                )


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--feed", choices=list(FEEDS))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(FEEDS), default=list(FEEDS))
    asked = parser.parse_args()
    if asked.feed:
        measure(asked.feed, asked.folder, asked.workers, asked.seconds)
        return
    folder = Path(tempfile.mkdtemp(prefix="zoetrope-"))
    try:
        make_data(folder)
        if asked.epochs:
            memory(folder, asked.workers, asked.epochs)
        else:
            compare(folder, asked.workers, asked.seconds, asked.rounds, asked.only)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
