"""A feed worker's life: make the batches that are asked for, until the pipe closes."""

import ctypes
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection

import cv2

from pipeline.base.errors import ZoetropeError
from pipeline.feed.bad_samples import Bad
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.cache import Cache
from pipeline.feed.processes import end_with_parent
from pipeline.feed.ring import Ring

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


@dataclass(frozen=True)
class Ask:
    """Make the batch of `step` in `slot`, the sample at place `first` first. `bad`: found since the last one."""

    step: int
    slot: int
    bad: Bad = field(default_factory=dict)
    first: int = 0


@dataclass(frozen=True)
class Made:
    """A batch is there: this rank's samples, those of the whole batch, and which bad ones were found on the way.

    `seconds`: what the steps took since the last batch, of a source that is `timed`.
    """

    step: int
    count: int
    samples: int
    bad: Bad
    seconds: dict[str, float]


@dataclass(frozen=True)
class Failed:
    """The worker's last words."""

    reason: str


def work(pipe: Connection, ring: Ring, number: int, source: BatchSource, cache: Cache | None) -> None:
    """Run worker `number`: take an `Ask`, write that batch into its slot, answer `Made`; `Failed` ends it."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        cv2.setNumThreads(0)
        keep_freed_memory()
        maker = BatchMaker(source, {}, ring.cell(number), cache)
        while True:
            ask: Ask = pipe.recv()
            maker.laps.lap("wait")
            maker.bad |= ask.bad
            known = len(maker.bad)
            arrays = source.sized(ring.arrays(ask.slot), ask.step)
            count, samples = maker.make(*source.place(ask.step), arrays, ask.first)
            found = dict(islice(maker.bad.items(), known, None))
            pipe.send(Made(ask.step, count, samples, found, maker.laps.take()))
    except (EOFError, OSError, KeyboardInterrupt):
        return  # the feed was closed
    except ZoetropeError as error:
        failure = str(error)
    except Exception:
        failure = f"a feed worker failed:\n{traceback.format_exc()}"
    with suppress(OSError):
        pipe.send(Failed(failure))


def keep_freed_memory() -> None:
    """Keep freed memory: clips are made in arrays of megabytes, which glibc gives back and asks
    for again, page by page, at each clip.
    """
    if allocator := getattr(ctypes.CDLL(None), "mallopt", None):
        allocator(M_MMAP_THRESHOLD, 32 * 2**20)
        allocator(M_TRIM_THRESHOLD, 256 * 2**20)
