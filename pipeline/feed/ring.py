"""Slots of shared memory that hold a batch each, allocated once."""

import ctypes
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import ZoetropeError

Layout = dict[str, tuple[np.dtype[Any], tuple[int, ...]]]
"""Name of an array -> its dtype and shape."""
SHARED = Path("/dev/shm")
_ALIGN_BYTES = 64


@dataclass(frozen=True)
class Ring:
    """`memory` has no name in the file system, so nothing is left of it once its processes are gone, however they end.

    It can be handed to a process as it is started, and only then.
    """

    layout: Layout
    memory: Any

    @classmethod
    def allocate(cls, layout: Layout, slots: int, context: Any) -> "Ring":
        """`slots` slots for processes of a multiprocessing context. ZoetropeError when the machine has not so much."""
        nbytes = slots * slot_bytes(layout)
        # Writing beyond what shared memory can hold would kill the process by SIGBUS, without a word.
        if SHARED.is_dir() and (free := shutil.disk_usage(SHARED).free) < nbytes:
            raise ZoetropeError(
                f"the feed's ring needs {nbytes / 2**20:.0f} MiB of shared memory, {SHARED} has {free / 2**20:.0f} MiB "
                "free. Lower feed.workers or train.batch_size, or give the container more (docker run --shm-size=8g)."
            )
        return cls(layout, context.RawArray(ctypes.c_uint8, nbytes))

    def arrays(self, slot: int) -> dict[str, np.ndarray]:
        """The named arrays of one slot; nothing is copied."""
        arrays, offset = {}, slot * slot_bytes(self.layout)
        for name, (dtype, shape) in self.layout.items():
            count = int(np.prod(shape))
            arrays[name] = np.frombuffer(self.memory, dtype, count, offset).reshape(shape)
            offset += _aligned(dtype.itemsize * count)
        return arrays


def slot_bytes(layout: Layout) -> int:
    """What one batch takes; each array begins on a cache line."""
    return sum(_aligned(dtype.itemsize * int(np.prod(shape))) for dtype, shape in layout.values())


def new_arrays(layout: Layout) -> dict[str, np.ndarray]:
    """Arrays of that layout in this process' own memory."""
    return {name: np.zeros(shape, dtype) for name, (dtype, shape) in layout.items()}


def _aligned(nbytes: int) -> int:
    return -(-nbytes // _ALIGN_BYTES) * _ALIGN_BYTES
