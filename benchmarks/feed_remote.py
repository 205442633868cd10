"""The remote feed against the local one, on this machine: what it costs that batches come from Ray actors.

    python -m benchmarks.feed_remote [--batches 60] [--rounds 3] [--workers 2]

Both have as many worker processes, on the same cores and the same clips as in `benchmarks.feed_clips`, with nothing
behind them; they take turns. On one machine the remote feed can only lose: it shows what a batch's way through Ray's
object store costs, without a network. The third row has batches of the same size that cost nothing to make: what the
way alone takes, and by that how many batches a second an actor can hand over.
"""

import argparse
import os
import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ray

from benchmarks.feed_clips import film, source, write
from benchmarks.feed_images import processor_s
from pipeline.cluster.remote_feed import Actors
from pipeline.decode.transcode import transcode
from pipeline.feed.local import Feed, LocalFeed
from pipeline.feed.ring import new_arrays, slot_bytes
from pipeline.graph.progress import Reporter
from pipeline.recipe.schema import RemoteFeed as Options

Row = tuple[float, float]


def taken(feed: Feed, workers: int, most: int) -> Row:
    """Clips a second by the clock, and the processor seconds of all processes for one of them."""
    with closing(feed):
        batches = iter(feed)
        for _ in range(4 * workers + 8):  # what is made ahead while processes start does not count
            next(batches)
        began_s, used_s = time.perf_counter(), processor_s()
        done = sum(len(next(batches).arrays["sample"]) for _ in range(most))
        return done / (time.perf_counter() - began_s), (processor_s() - used_s) / done


class Ready:
    """An actor with a batch that lies there."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays

    def take(self) -> dict[str, np.ndarray]:
        """It."""
        return self.arrays


def handed_over(arrays: dict[str, np.ndarray], most: int) -> Row:
    """The same of batches that lie ready in an actor: into the object store, and mapped out of it."""
    remote: Any = ray.remote(num_cpus=0)(Ready)
    actor = remote.remote(arrays)
    ray.get(actor.take.remote())
    began_s, used_s = time.perf_counter(), processor_s()
    done = sum(len(ray.get(actor.take.remote())["sample"]) for _ in range(most))
    took = done / (time.perf_counter() - began_s), (processor_s() - used_s) / done
    ray.kill(actor)
    return took


def main() -> None:
    """Measure in turns and print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    workers, most = asked.workers, asked.batches
    # Ray's workers are polite (nice 15): they would get what the machine's other work leaves.
    os.environ.update(RAY_AUTH_MODE="disabled", PYTHONPATH=str(Path(__file__).parents[1]), RAY_worker_niceness="0")
    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory(prefix="zoetrope-") as folder:
        write(Path(folder), [transcode(film(number), 256, 12, 20).data for number in range(2)])
        made = source(Path(folder), "dense")
        steps = range(made.steps * 1000)
        remote = Options(kind="remote", actors=1, workers=workers)
        there = replace(made, recipe=made.recipe.model_copy(update={"feed": remote}))
        ready = new_arrays(made.layout())
        found: dict[str, list[Row]] = {}
        for _ in range(asked.rounds):
            local = LocalFeed(made, steps, workers, 120.0)
            found.setdefault("local", []).append(taken(local, workers, most))
            with closing(Actors(remote, Reporter("feed").say, 1)) as actors:
                found.setdefault("remote, one actor", []).append(taken(actors.feed(there, steps, {}), workers, most))
            found.setdefault("ready, by an actor", []).append(handed_over(ready, 10 * most))
        ray.shutdown()
    size = slot_bytes(made.layout())
    print(f"a batch: {made.recipe.train.batch_size} clips of {made.recipe.clip.frames} frames, {size / 1e6:.1f} MB")
    show("clips/s", {name: [run[0] for run in runs] for name, runs in found.items()})
    show("CPU ms a clip", {name: [run[1] * 1000 for run in runs] for name, runs in found.items()})
    clips = statistics.median(run[0] for run in found["ready, by an actor"])
    print(f"the way alone: {size * clips / made.recipe.train.batch_size / 1e9:.2f} GB/s by the clock")


def show(what: str, found: dict[str, list[float]]) -> None:
    """Medians of the rounds, lowest and highest."""
    print(f"{what:20}{'median':>10}{'of local':>10}")
    for name, values in found.items():
        median = statistics.median(values)
        share = median / statistics.median(found["local"])
        print(f"{name:20}{median:10.2f}{share:10.3f}   ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
