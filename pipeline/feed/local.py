"""Batches from local worker processes, through a ring of shared memory that is allocated once.

The parent owns the ring's slots. Each worker has one pipe: the parent sends (step, slot), the worker makes that batch
in the slot and answers. There is no shared queue and no shared lock, so a worker that is killed costs its batch,
which is a pure function of the step and is simply made again by its successor.
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from pipeline.base.errors import ZoetropeError
from pipeline.feed import processes
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import Ring, new_arrays
from pipeline.feed.worker import work

MOST_TRIES = 2
OWED = 2
"""Batches that a worker is asked for at a time: one to make, and the next, so that it never waits for us."""


@dataclass(frozen=True)
class Batch:
    """This rank's part of a batch of `samples`: named arrays, valid until the next batch is asked for."""

    arrays: dict[str, np.ndarray]
    samples: int


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    owed: deque[int] = field(default_factory=deque)
    since_s: float = 0.0
    """When it was asked, or gave its last answer."""


class LocalFeed:
    """Iterates over the batches of `steps`, which count on over the epochs; `workers` 0 makes them in this process.

    `waited_s` is the time that the consumer has spent waiting. `close()` ends the workers. They also end by themselves
    when this process does, however it ends.
    """

    def __init__(self, source: BatchSource, steps: range, workers: int, timeout_s: float) -> None:
        self.source, self.steps, self.timeout_s = source, steps, timeout_s
        self.waited_s = 0.0
        workers = min(workers, len(steps))
        slots = OWED * workers + 1  # one more, which the consumer reads
        self.free = deque(range(slots))
        self.slot_of: dict[int, int] = {}
        self.tries: dict[int, int] = {}
        self.done: dict[int, tuple[int, int]] = {}
        self.to_ask = iter(steps)
        self.workers: list[_Worker] = []
        if workers:
            self.ring = Ring.allocate(source.layout(), slots, processes.CONTEXT)
            self.workers = [self._start() for _ in range(workers)]
            self._ask()

    def __iter__(self) -> Iterator[Batch]:
        if not self.workers:
            yield from self._made_here()
            return
        for step in self.steps:
            began_s = time.perf_counter()
            count, samples = self._wait_for(step)
            self.waited_s += time.perf_counter() - began_s
            slot = self.slot_of.pop(step)
            yield Batch({name: array[:count] for name, array in self.ring.arrays(slot).items()}, samples)
            self.free.append(slot)

    def close(self) -> None:
        """End the workers; a batch that is being made is given up."""
        for worker in self.workers:
            worker.pipe.close()
            worker.process.kill()
        for worker in self.workers:
            worker.process.join()
        self.workers = []

    def _made_here(self) -> Iterator[Batch]:
        if not self.steps:
            return
        maker, arrays = BatchMaker(self.source), new_arrays(self.source.layout())
        for step in self.steps:
            began_s = time.perf_counter()
            count, samples = maker.make(*self.source.place(step), arrays)
            self.waited_s += time.perf_counter() - began_s
            yield Batch({name: array[:count] for name, array in arrays.items()}, samples)

    def _start(self) -> _Worker:
        return _Worker(*processes.start(work, self.ring, self.source))

    def _ask(self) -> None:
        """Ask for batches while there are free slots, whoever owes least."""
        while self.free:
            worker = min(self.workers, key=lambda w: len(w.owed))
            if len(worker.owed) == OWED or (step := next(self.to_ask, None)) is None:
                return
            self.slot_of[step] = self.free.popleft()
            self._send(worker, step)

    def _send(self, worker: _Worker, step: int) -> None:
        if not worker.owed:
            worker.since_s = time.monotonic()
        worker.owed.append(step)
        with suppress(OSError):  # a dead worker is noticed by its pipe, in one place
            worker.pipe.send((step, self.slot_of[step]))

    def _wait_for(self, step: int) -> tuple[int, int]:
        """(count, samples) of a batch, once it is there."""
        while True:
            self._ask()
            if step in self.done:
                return self.done.pop(step)
            pipes = {worker.pipe: worker for worker in self.workers}
            for pipe in wait(list(pipes), timeout=min(1.0, self.timeout_s)):
                self._receive(pipes[pipe])  # type: ignore[index]  # wait gives back what it was given
            for worker in self.workers:
                if worker.owed and time.monotonic() - worker.since_s > self.timeout_s:
                    self._replace(worker, f"took longer than feed.timeout_s = {self.timeout_s:g} s")

    def _receive(self, worker: _Worker) -> None:
        try:
            step, made, failure = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(timeout=5)
            self._replace(worker, f"died (exit code {worker.process.exitcode})")
            return
        if failure:
            raise ZoetropeError(failure)
        worker.owed.remove(step)
        worker.since_s = time.monotonic()
        self.done[step] = made

    def _replace(self, worker: _Worker, what: str) -> None:
        """Start another worker for one that is lost, and ask it for what the lost one owed."""
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        if worker.owed:
            suspect = worker.owed[0]
            self.tries[suspect] = self.tries.get(suspect, 0) + 1
            if self.tries[suspect] == MOST_TRIES:
                epoch, k = self.source.place(suspect)
                raise ZoetropeError(
                    f"a feed worker {what}, {MOST_TRIES} times at batch {k} of epoch {epoch} of the split "
                    f"{self.source.split!r} of {self.source.dataset.files}. Is there enough memory? "
                    "feed.workers=0 makes batches in the training process and shows more."
                )
        substitute = self._start()
        self.workers[self.workers.index(worker)] = substitute
        for step in worker.owed:
            self._send(substitute, step)
