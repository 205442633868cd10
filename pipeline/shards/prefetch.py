"""Shards on this node before their samples are asked for, where the node's cache cannot hold all of them.

What an epoch reads at which step is arithmetic, so it is known ahead: `shard_runs` lists it, and `Ahead` fetches in
that order, as far as its share of the cache goes. What lies behind is let go; the cache removes what was not used for
longest, and whatever is needed soon is marked as used.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.base.files import Files
from pipeline.shards.index import index_path
from pipeline.shards.shard import Shard

AT_A_TIME = 4


@dataclass(frozen=True)
class Run:
    """A shard is read at some of the steps from `first` to `last`, both included."""

    shard: int
    first: int
    last: int


def shard_runs(shards: Iterable[NDArray[np.integer]], first_step: int, gap: int) -> list[Run]:
    """Return the runs of shards over steps, sorted by their first step.

    shards: for each step, from `first_step` on, the numbers of the shards that its samples lie in
    gap:    a shard that is not read for more steps than this has another run
    """
    done: list[Run] = []
    begun: dict[int, tuple[int, int]] = {}
    for step, needed in enumerate(shards, first_step):
        for shard in np.unique(needed).tolist():
            first, last = begun.get(shard, (step, step))
            if step - last > gap:
                done.append(Run(shard, first, last))
                first = step
            begun[shard] = (first, step)
    done += [Run(shard, first, last) for shard, (first, last) in begun.items()]
    return sorted(done, key=lambda run: (run.first, run.shard))


def most_bytes(runs: Iterable[Run], shards: Sequence[Shard]) -> int:
    """Return the most that shards take together whose runs overlap."""
    changes = sorted(
        change
        for run in runs
        for change in ((run.first, shards[run.shard].bytes), (run.last + 1, -shards[run.shard].bytes))
    )
    return max(accumulate(change for _, change in changes), default=0)


class Ahead:
    """Fetches shards in the order in which they are read, in a thread of its own.

    Call `at(step)` as training goes on: it waits until all that is read before step `step + margin` is there. So it is
    the training process that waits for a slow network, and not a feed worker, whose batch has a time limit. What
    fetching raises is raised there.
    """

    def __init__(
        self,
        files: Files,
        shards: Sequence[Shard],
        runs: Callable[[int], list[Run]],
        epochs: Iterable[int],
        budget_bytes: int,
        margin: int,
        keep: Iterable[str] = (),
    ) -> None:
        """Begin.

        runs:         epoch -> its runs, in steps that count on over the epochs
        budget_bytes: fetched ahead at most, but for what the margin needs
        keep:         files that are there already and stay in use
        """
        self._files, self._shards, self._runs, self._epochs = files, shards, runs, epochs
        self._budget_bytes, self._margin, self._keep = budget_bytes, margin, list(keep)
        self._step = -1
        self._there_until = 0  # every run that begins before this step is there
        self._held: dict[int, int] = {}  # shard -> step of its last use, as far as is known
        self._error: BaseException | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="ahead", daemon=True)
        self._thread.start()

    def at(self, step: int) -> None:
        """Note that training is at `step`: earlier ones are done. Waits for what it needs next."""
        with self._changed:
            in_use = [shard for shard, last in self._held.items() if last >= step]
        # Marked as used before the others are let go, so that the cache removes those first.
        self._files.fetch([*self._keep, *(name for shard in in_use for name in _names(self._shards[shard]))])
        with self._changed:
            self._step = step
            self._held = {shard: last for shard, last in self._held.items() if last >= step}
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._error or self._closed or self._there_until > step + self._margin)
            if self._error:
                raise self._error

    def close(self) -> None:
        """End it; what is being fetched comes to its end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        try:
            for epoch in self._epochs:
                runs = self._runs(epoch)
                for number in range(0, len(runs), AT_A_TIME):
                    if not self._fetch(runs[number : number + AT_A_TIME]):
                        return
                    following = runs[number + AT_A_TIME : number + AT_A_TIME + 1]
                    self._reached(following[0].first if following else runs[-1].last + 1)
            self._reached(1 << 62)
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _fetch(self, runs: list[Run]) -> bool:
        """Fetch the shards of some runs when there is room for them, or it is time; False when this is to end."""
        wanted = sum(self._shards[run.shard].bytes for run in runs)
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._closed
                    or runs[0].first <= self._step + self._margin + 1
                    or sum(self._shards[shard].bytes for shard in self._held) + wanted <= self._budget_bytes
                )
            )
            if self._closed:
                return False
        self._files.fetch([name for run in runs for name in _names(self._shards[run.shard])])
        with self._changed:
            for run in runs:
                self._held[run.shard] = max(run.last, self._held.get(run.shard, 0))
        return True

    def _reached(self, step: int) -> None:
        with self._changed:
            self._there_until = step
            self._changed.notify_all()


def _names(shard: Shard) -> Iterator[str]:
    yield shard.name
    yield index_path(Path(shard.name)).as_posix()
