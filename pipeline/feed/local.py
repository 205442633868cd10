"""Batches from local worker processes, through a ring of shared memory that is allocated once.

The parent owns the ring's slots. Each worker has one pipe: the parent asks for a batch in a slot, the worker makes it
there and answers. There is no shared queue and no shared lock, so a worker that is killed costs its batch, which is a
pure function of the step and is simply made again by its successor. What a worker is at stands in a cell of its own:
a sample that hangs or crashes the decoder is tried once more by a fresh process, then it goes into the quarantine.
"""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

import numpy as np

from pipeline.base.errors import ZoetropeError
from pipeline.feed import cache, processes
from pipeline.feed.bad_samples import Bad, check_bad
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.feed_worker import Ask, Failed, Made, work
from pipeline.feed.ring import Ring, new_arrays

OWED = 2
"""Batches that a worker is asked for at a time: one to make, and the next, so that it never waits for us."""


@dataclass(frozen=True)
class Batch:
    """This rank's part of a batch of `samples`: named arrays, valid until the next batch is asked for."""

    arrays: dict[str, np.ndarray]
    samples: int


class Feed(Protocol):
    """Iterates over batches; see `LocalFeed`."""

    waited_s: float

    def __iter__(self) -> Iterator[Batch]: ...
    def apply_bad(self) -> None: ...
    def close(self) -> None: ...


MakeFeed = Callable[[BatchSource, range, Bad], Feed]
"""A feed of the batches of some steps, which count on over the epochs; the bad samples grow with what is found."""


@dataclass
class _Worker:
    number: int
    process: Any
    pipe: Connection
    owed: deque[int] = field(default_factory=deque)
    since_s: float = 0.0
    """When it was asked, or gave its last answer."""
    known_bad: int = 0
    """Bad samples that it knows of."""


class LocalFeed:
    """Iterates over the batches of `steps`, which count on over the epochs; `workers` 0 makes them in this process.

    `bad`, the samples that cannot be used, grows with what is found; ZoetropeError when it grows beyond the recipe's
    `data.max_bad`. A sample may take `timeout_s` (not in this process, which cannot interrupt itself). `waited_s` is
    the time that the consumer has spent waiting, `spent` that of the workers by step, of a source that is `timed`.
    `say` tells the user what is no error. `close()` ends the workers. They also end by themselves when this
    process does, however it ends.
    """

    def __init__(
        self,
        source: BatchSource,
        steps: range,
        workers: int,
        timeout_s: float,
        bad: Bad | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.source, self.steps, self.timeout_s, self.say = source, steps, timeout_s, say
        self.bad = {} if bad is None else bad
        self._check_bad()
        self.agreed = set(self.bad)
        self.waited_s = 0.0
        self.spent: Counter[str] = Counter()
        self.number = min(workers, len(steps))
        self.slots = OWED * self.number + 1  # one more, which the consumer reads
        self.workers: list[_Worker] = []
        self.rest = steps
        """The steps behind the one whose batch the consumer reads."""
        self.read: int | None = None
        """The slot that the consumer reads."""
        self.free: deque[int] = deque()
        self.slot_of: dict[int, int] = {}
        self.tries: defaultdict[int, Counter[int | None]] = defaultdict(Counter)
        self.made: dict[int, Made] = {}
        self.to_ask: Iterator[int] = iter(())
        if self.number:
            self._begin(steps, range(self.slots))

    @cached_property
    def ring(self) -> Ring:
        """The shared memory of the workers' batches, allocated once."""
        return Ring.allocate(self.source.layout(), self.slots, self.number, processes.CONTEXT)

    @cached_property
    def cache(self) -> cache.Cache | None:
        """The node's decoded pixels, opened once there is a ring."""
        source = self.source
        return cache.opened(source.recipe, source.dataset, source.comes_again(self.steps), self.say)

    def __iter__(self) -> Iterator[Batch]:
        if not self.workers:
            yield from self._made_here()
            return
        for i, step in enumerate(self.steps):
            began_s = time.perf_counter()
            made = self._wait_for(step)
            self.waited_s += time.perf_counter() - began_s
            self.rest, self.read = self.steps[i + 1 :], self.slot_of.pop(step)
            arrays = self.source.sized(self.ring.arrays(self.read), step)
            yield Batch({name: array[: made.count] for name, array in arrays.items()}, made.samples)
            self.free.append(self.read)

    def apply_bad(self) -> None:
        """Make all batches behind the last one with `bad` as it is now, those again that were made ahead without.

        So a training goes on from a checkpoint as one would that is resumed from it.
        """
        self._check_bad()
        if set(self.bad) != self.agreed and self.workers and self.rest:
            self._end_workers()
            self._begin(self.rest, [slot for slot in range(self.slots) if slot != self.read])
        self.agreed = set(self.bad)

    def close(self) -> None:
        """End the workers; a batch that is being made is given up."""
        self._end_workers()
        if kept := self.__dict__.pop("cache", None):
            kept.close()

    def _end_workers(self) -> None:
        for worker in self.workers:
            worker.pipe.close()
            worker.process.kill()
        for worker in self.workers:
            worker.process.join()
        self.workers = []

    def _begin(self, steps: range, slots: "range | list[int]") -> None:
        """Start the workers and ask for the first batches of `steps` in `slots`."""
        self.free = deque(slots)
        self.to_ask = iter(steps)
        self.slot_of.clear()
        self.tries.clear()
        self.made.clear()
        self.workers = [self._start(number) for number in range(self.number)]
        self._ask()

    def _made_here(self) -> Iterator[Batch]:
        if not self.steps:
            return
        maker, largest = BatchMaker(self.source, self.bad, cache=self.cache), new_arrays(self.source.layout())
        for step in self.steps:
            began_s = time.perf_counter()
            maker.laps.lap("wait")
            arrays = self.source.sized(largest, step)
            count, samples = maker.make(*self.source.place(step), arrays)
            self.spent.update(maker.laps.take())
            self._check_bad()
            self.waited_s += time.perf_counter() - began_s
            yield Batch({name: array[:count] for name, array in arrays.items()}, samples)

    def _check_bad(self) -> None:
        check_bad(self.bad, self.source.recipe.data.max_bad, self.source.dataset, self.source.split)

    def _start(self, number: int) -> _Worker:
        self.ring.cell(number).rest()
        return _Worker(number, *processes.start(work, self.ring, number, self.source, self.cache))

    def _ask(self) -> None:
        """Ask for batches while there are free slots, whoever owes least."""
        while self.free:
            worker = min(self.workers, key=lambda w: len(w.owed))
            if len(worker.owed) == OWED or (step := next(self.to_ask, None)) is None:
                return
            self.slot_of[step] = self.free.popleft()
            self._send(worker, step)

    def _send(self, worker: _Worker, step: int, first: int = 0) -> None:
        if not worker.owed:
            worker.since_s = time.monotonic()
        worker.owed.append(step)
        news = dict(islice(self.bad.items(), worker.known_bad, None))
        worker.known_bad = len(self.bad)
        with suppress(OSError):  # a dead worker is noticed by its pipe, in one place
            worker.pipe.send(Ask(step, self.slot_of[step], news, first))

    def _wait_for(self, step: int) -> Made:
        """Return a batch, once it is there."""
        while True:
            self._ask()
            if step in self.made:
                return self.made.pop(step)
            pipes = {worker.pipe: worker for worker in self.workers}
            for pipe in wait(list(pipes), timeout=min(1.0, self.timeout_s)):
                self._receive(pipes[pipe])  # type: ignore[index]  # wait gives back what it was given
            for worker in self.workers:
                if worker.owed and time.monotonic() - self._last_sign_s(worker) > self.timeout_s:
                    self._replace(
                        worker, f"took longer than feed.timeout_s = {self.timeout_s:g} s", processes.MOST_TRIES
                    )

    def _last_sign_s(self, worker: _Worker) -> float:
        return max(worker.since_s, self.ring.cell(worker.number).since_s)

    def _receive(self, worker: _Worker) -> None:
        try:
            answer = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(timeout=5)
            code = worker.process.exitcode
            self._replace(worker, f"died (exit code {code})", processes.most_tries(code))
            return
        if isinstance(answer, Failed):
            raise ZoetropeError(answer.reason)
        worker.owed.remove(answer.step)
        worker.since_s = time.monotonic()
        self.tries.pop(answer.step, None)
        self.made[answer.step] = answer
        self.spent.update(answer.seconds)
        self._add(answer.bad)

    def _add(self, bad: Bad) -> None:
        if bad.keys() - self.bad.keys():
            for sample, reason in bad.items():
                self.bad.setdefault(sample, reason)
            self._check_bad()

    def _replace(self, worker: _Worker, what: str, most_tries: int) -> None:
        """Start another worker for one that is lost, and ask it for what the lost one owed, the suspect first."""
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        first = 0
        if worker.owed:
            at = self.ring.cell(worker.number).at
            suspect = at and at[0]
            tries = self.tries[worker.owed[0]]
            tries[suspect] += 1
            if tries[suspect] < most_tries:
                first = at[1] if at else 0
            elif suspect is None:
                raise ZoetropeError(self._lost(worker.owed[0], what, most_tries))
            else:
                self._add({suspect: f"a feed worker {what} at it, {most_tries} times"})
        substitute = self._start(worker.number)
        self.workers[worker.number] = substitute
        for step in worker.owed:
            self._send(substitute, step, first)
            first = 0

    def _lost(self, step: int, what: str, times: int) -> str:
        epoch, k = self.source.place(step)
        return (
            f"a feed worker {what}, {times} times at batch {k} of epoch {epoch} of the split "
            f"{self.source.split!r} of {self.source.dataset.files}, at no sample. Is there enough memory? "
            "feed.workers=0 makes batches in the training process and shows more."
        )


def local_feed(
    source: BatchSource, steps: range, bad: Bad, say: Callable[[str], None] = lambda text: None
) -> LocalFeed:
    """Make a feed with as many workers as the recipe says."""
    asked = source.recipe.feed
    return LocalFeed(source, steps, asked.workers, asked.timeout_s, bad, say)
