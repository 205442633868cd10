"""Shared memory, allocated once: slots that hold a batch each, and for each worker a cell that says what it is at."""

import ctypes
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import ZoetropeError
from pipeline.tasks.base import Layout

SHARED = Path("/dev/shm")
_ALIGN_BYTES = 64
_NOTHING = -1


class Cell:
    """What a worker is at: int64 [3], the time of the last change, a sample's number and its place in the batch.

    Written by the worker and read by its parent, without a lock. The time is written first, so that a sample is never
    seen with the time of an earlier one.
    """

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def begin(self, sample: int, place: int) -> None:
        """Note that the worker begins with a sample, the one at `place` of its part of a batch."""
        self._values[0] = time.monotonic_ns()
        self._values[2] = place
        self._values[1] = sample

    def rest(self) -> None:
        """Note that the worker is at no sample."""
        self._values[1] = _NOTHING
        self._values[0] = time.monotonic_ns()

    @property
    def since_s(self) -> float:
        """When the last change was, on the clock of `time.monotonic`, which all processes share."""
        return int(self._values[0]) / 1e9

    @property
    def at(self) -> tuple[int, int] | None:
        """(sample, place) that the worker is at."""
        return None if self._values[1] == _NOTHING else (int(self._values[1]), int(self._values[2]))


def idle_cell() -> Cell:
    """Return a cell that nobody else sees."""
    return Cell(np.full(3, _NOTHING, np.int64))


@dataclass(frozen=True)
class Ring:
    """`memory` has no name in the file system, so nothing is left of it once its processes are gone, however they end.

    It can be handed to a process as it is started, and only then.
    """

    layout: Layout
    slots: int
    memory: Any

    @classmethod
    def allocate(cls, layout: Layout, slots: int, workers: int, context: Any) -> "Ring":
        """Allocate `slots` slots for processes of a multiprocessing context.

        ZoetropeError when the machine has not so much.
        """
        nbytes = slots * slot_bytes(layout) + workers * _ALIGN_BYTES
        # Writing beyond what shared memory can hold would kill the process by SIGBUS, without a word.
        if SHARED.is_dir() and (free := shutil.disk_usage(SHARED).free) < nbytes:
            raise ZoetropeError(
                f"the feed's ring needs {nbytes / 2**20:.0f} MiB of shared memory, {SHARED} has {free / 2**20:.0f} MiB "
                "free. Lower feed.workers or train.batch_size, or give the container more (docker run --shm-size=8g)."
            )
        return cls(layout, slots, context.RawArray(ctypes.c_uint8, nbytes))

    def cell(self, worker: int) -> Cell:
        """Return the cell of a worker, each on a cache line of its own."""
        return Cell(
            np.frombuffer(self.memory, np.int64, 3, self.slots * slot_bytes(self.layout) + worker * _ALIGN_BYTES)
        )

    def arrays(self, slot: int) -> dict[str, np.ndarray]:
        """Return the named arrays of one slot; nothing is copied."""
        arrays, offset = {}, slot * slot_bytes(self.layout)
        for name, (dtype, shape) in self.layout.items():
            count = int(np.prod(shape))
            arrays[name] = np.frombuffer(self.memory, dtype, count, offset).reshape(shape)
            offset += _aligned(dtype.itemsize * count)
        return arrays


def slot_bytes(layout: Layout) -> int:
    """Compute the bytes that one batch takes; each array begins on a cache line."""
    return sum(_aligned(dtype.itemsize * int(np.prod(shape))) for dtype, shape in layout.values())


def new_arrays(layout: Layout) -> dict[str, np.ndarray]:
    """Return arrays of that layout in this process' own memory."""
    return {name: np.zeros(shape, dtype) for name, (dtype, shape) in layout.items()}


def _aligned(nbytes: int) -> int:
    return -(-nbytes // _ALIGN_BYTES) * _ALIGN_BYTES
