"""How fast a feed is by itself, and what it spends its time on."""

import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, fields

from pipeline.feed import cache
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


@dataclass(frozen=True)
class _Again(BatchSource):
    """The first `batches` batches of an epoch over and over."""

    batches: int = 1

    def place(self, step: int) -> tuple[int, int]:
        return 0, step % self.batches


def measure(
    source: BatchSource, workers: int, timeout_s: float, seconds: float, say: Callable[[str], None] = print
) -> tuple[Rate, Rate | None]:
    """Take training batches as fast as they come, for some seconds from the first one on.

    Where the recipe has a `feed.cache`, in the first epoch alone; and then these batches again for as long, when what
    has a place was decoded: the second rate is that from the second epoch on. `say` is told when there is no room.
    """
    given = {field.name: getattr(source, field.name) for field in fields(source)} | {"timed": True}
    kept = cache.opened(source.recipe, source.dataset, True, say)
    if kept is None:
        return _measure(BatchSource(**given), workers, timeout_s, seconds), None
    with closing(kept):
        first = _measure(BatchSource(**given), workers, timeout_s, seconds, max(source.steps - 1, 1))
        again = _Again(**given, batches=min(first.batches + 1, source.steps))
        return first, _measure(again, workers, timeout_s, seconds)


def _measure(source: BatchSource, workers: int, timeout_s: float, seconds: float, most: int = sys.maxsize) -> Rate:
    """Take batches for some seconds, `most` at most, from the second one on."""
    samples = batches = 0
    with closing(LocalFeed(source, range(EPOCHS * source.steps), workers, timeout_s)) as feed:
        taken = iter(feed)
        next(taken)
        feed.spent.clear()
        began_s = time.perf_counter()
        while ((elapsed_s := time.perf_counter() - began_s) < seconds and batches < most) or not samples:
            samples += len(next(taken).arrays["sample"])
            batches += 1
        shares = {step: feed.spent[step] / feed.spent.total() for step in STEPS}
        return Rate(samples / elapsed_s, batches, shares, len(feed.bad))
