"""How fast a feed is by itself, and what it spends its time on."""

import time
from contextlib import closing
from dataclasses import dataclass, replace

from pipeline.feed.batch import BatchSource
from pipeline.feed.laps import STEPS
from pipeline.feed.local import LocalFeed

EPOCHS = 1_000_000
"""More than anybody measures."""


@dataclass(frozen=True)
class Rate:
    """`shares`: of the workers' time, by step, adding up to 1. `bad`: samples that could not be used."""

    samples_per_s: float
    batches: int
    shares: dict[str, float]
    bad: int


def measure(source: BatchSource, workers: int, timeout_s: float, seconds: float) -> Rate:
    """Take training batches as fast as they come, for some seconds from the first one on."""
    timed = replace(source, timed=True)
    samples = batches = 0
    with closing(LocalFeed(timed, range(EPOCHS * source.steps), workers, timeout_s)) as feed:
        taken = iter(feed)
        next(taken)
        feed.spent.clear()
        began_s = time.perf_counter()
        while (elapsed_s := time.perf_counter() - began_s) < seconds or not samples:
            samples += len(next(taken).arrays["sample"])
            batches += 1
        shares = {step: feed.spent[step] / feed.spent.total() for step in STEPS}
        return Rate(samples / elapsed_s, batches, shares, len(feed.bad))
