"""Batches from local worker processes, through a ring of shared memory that is allocated once.

The parent owns a ring of slots. Each worker has one pipe: the parent sends (number, epoch, k, slot), the worker makes
that batch in the slot and answers. There is no shared queue and no shared lock, so a worker that is killed costs its
batch, which is a pure function of (epoch, k) and is simply made again by its successor.
"""

import ctypes
import multiprocessing
import shutil
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import ZoetropeError
from pipeline.feed.batch import BatchMaker, BatchSource, Layout

Request = tuple[int, int]
"""(epoch, k): which batch."""
MOST_TRIES = 2
_ALIGN_BYTES = 64


@dataclass(frozen=True)
class Batch:
    """This rank's part of a batch of `samples`: named arrays, valid until the next batch is asked for."""

    arrays: dict[str, np.ndarray]
    samples: int


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    owed: deque[int]
    asked_s: float = 0.0


class LocalFeed:
    """Iterates over the batches of `requests` in their order.

    `waited_s` is the time that the consumer has spent waiting. `close()` ends the workers; so does garbage
    collection of the parent, since a worker whose pipe closes goes home.
    """

    def __init__(self, source: BatchSource, requests: Sequence[Request], workers: int, timeout_s: float) -> None:
        self.source, self.requests, self.timeout_s = source, requests, timeout_s
        self.waited_s = 0.0
        workers = min(workers, len(requests))
        slots = 2 * workers + 1
        self.layout = source.layout()
        self.stride_bytes = sum(_aligned(dtype.itemsize * int(np.prod(shape))) for dtype, shape in self.layout.values())
        if workers:
            _check_memory(slots * self.stride_bytes)
        self.context: Any = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["pipeline.feed.batch"])
        self.ring = (self.context if workers else multiprocessing).RawArray(ctypes.c_uint8, slots * self.stride_bytes)
        self.free = deque(range(slots))
        self.slot_of: dict[int, int] = {}
        self.tries: dict[int, int] = {}
        self.done: dict[int, tuple[int, int]] = {}
        self.next_request = 0
        self.workers = [self._start() for _ in range(workers)]

    def __iter__(self) -> Iterator[Batch]:
        maker = BatchMaker(self.source) if self.requests and not self.workers else None
        for number, (epoch, k) in enumerate(self.requests):
            began = time.perf_counter()
            if maker:
                count, samples = maker.make(epoch, k, slot_arrays(self.ring, 0, self.stride_bytes, self.layout))
                slot = 0
            else:
                count, samples = self._wait_for(number)
                slot = self.slot_of[number]
            self.waited_s += time.perf_counter() - began
            arrays = slot_arrays(self.ring, slot, self.stride_bytes, self.layout)
            yield Batch({name: array[:count] for name, array in arrays.items()}, samples)
            if not maker:
                self.free.append(self.slot_of.pop(number))

    def close(self) -> None:
        """End the workers; a batch that is being made is given up."""
        for worker in self.workers:
            worker.pipe.close()
            worker.process.kill()
        for worker in self.workers:
            worker.process.join()
        self.workers = []

    def _start(self) -> _Worker:
        ours, theirs = self.context.Pipe()
        process = self.context.Process(
            target=_work, args=(theirs, self.ring, self.stride_bytes, self.layout, self.source), daemon=True
        )
        process.start()
        theirs.close()
        return _Worker(process, ours, deque())

    def _ask(self) -> None:
        """Hand out requests while there are free slots, to the worker that owes least; at most two to each."""
        while self.free and self.next_request < len(self.requests):
            worker = min(self.workers, key=lambda w: len(w.owed))
            if len(worker.owed) == 2:
                return
            self.slot_of[self.next_request] = self.free.popleft()
            self._send(worker, self.next_request)
            self.next_request += 1

    def _send(self, worker: _Worker, number: int) -> None:
        if not worker.owed:
            worker.asked_s = time.monotonic()
        worker.owed.append(number)
        with suppress(OSError):  # a dead worker is noticed by its pipe, in one place
            worker.pipe.send((number, *self.requests[number], self.slot_of[number]))

    def _wait_for(self, number: int) -> tuple[int, int]:
        while number not in self.done:
            self._ask()
            pipes = {worker.pipe: worker for worker in self.workers}
            for pipe in wait(list(pipes), timeout=1.0):
                self._receive(pipes[pipe])  # type: ignore[index]  (wait gives back what it was given)
            for worker in self.workers:
                if worker.owed and time.monotonic() - worker.asked_s > self.timeout_s:
                    self._replace(worker, f"took longer than feed.timeout_s = {self.timeout_s:g} s")
        return self.done.pop(number)

    def _receive(self, worker: _Worker) -> None:
        try:
            number, count, samples, failure = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(timeout=5)
            self._replace(worker, f"died (exit code {worker.process.exitcode})")
            return
        if failure:
            raise ZoetropeError(failure)
        worker.owed.remove(number)
        worker.asked_s = time.monotonic()
        self.done[number] = (count, samples)

    def _replace(self, worker: _Worker, what: str) -> None:
        """Start another worker for one that is lost, and ask it for what the lost one owed."""
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        if worker.owed:
            suspect = worker.owed[0]
            self.tries[suspect] = self.tries.get(suspect, 0) + 1
            if self.tries[suspect] == MOST_TRIES:
                epoch, k = self.requests[suspect]
                raise ZoetropeError(
                    f"a feed worker {what} {MOST_TRIES} times at batch {k} of epoch {epoch}, "
                    f"split {self.source.split!r} of {self.source.folder}. Is there enough memory? "
                    "feed.workers=0 makes batches in the training process and shows more."
                )
        substitute = self._start()
        self.workers[self.workers.index(worker)] = substitute
        for number in worker.owed:
            self._send(substitute, number)


def slot_arrays(ring: Any, slot: int, stride_bytes: int, layout: Layout) -> dict[str, np.ndarray]:
    """The named arrays of one slot of the ring, as views."""
    arrays, offset = {}, slot * stride_bytes
    for name, (dtype, shape) in layout.items():
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(ring, dtype, count, offset).reshape(shape)
        offset += _aligned(dtype.itemsize * count)
    return arrays


def new_arrays(layout: Layout) -> dict[str, np.ndarray]:
    """Arrays of that layout outside of any ring, for a batch or two."""
    return {name: np.zeros(shape, dtype) for name, (dtype, shape) in layout.items()}


def _aligned(nbytes: int) -> int:
    return -(-nbytes // _ALIGN_BYTES) * _ALIGN_BYTES


def _check_memory(ring_bytes: int) -> None:
    """Refuse a ring that shared memory cannot hold: writing beyond its end would kill the process by SIGBUS."""
    shared = Path("/dev/shm")
    if shared.is_dir() and (free := shutil.disk_usage(shared).free) < ring_bytes:
        raise ZoetropeError(
            f"the feed's ring needs {ring_bytes / 2**20:.0f} MiB of shared memory, /dev/shm has {free / 2**20:.0f} MiB "
            "free. Lower feed.workers or train.batch_size, or give the container more (docker run --shm-size=8g)."
        )


def _work(pipe: Connection, ring: Any, stride_bytes: int, layout: Layout, source: BatchSource) -> None:
    """A worker's life: make what is asked for, until the pipe closes."""
    try:
        import cv2

        cv2.setNumThreads(0)
        maker = BatchMaker(source)
        while True:
            number, epoch, k, slot = pipe.recv()
            count, samples = maker.make(epoch, k, slot_arrays(ring, slot, stride_bytes, layout))
            pipe.send((number, count, samples, None))
    except (EOFError, KeyboardInterrupt, BrokenPipeError):
        return
    except ZoetropeError as error:
        failure = str(error)
    except Exception:
        failure = f"a feed worker failed:\n{traceback.format_exc()}"
    with suppress(OSError):
        pipe.send((-1, 0, 0, failure))
