"""A feed worker's life: make the batches that are asked for, until the pipe closes."""

import multiprocessing
import os
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection

import cv2

from pipeline.base.errors import ZoetropeError
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import Ring


def work(pipe: Connection, ring: Ring, source: BatchSource) -> None:
    """Take (step, slot), write that batch there, answer (step, (count, samples), None); (None, None, error) ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        cv2.setNumThreads(0)
        maker = BatchMaker(source)
        while True:
            step, slot = pipe.recv()
            pipe.send((step, maker.make(*source.place(step), ring.arrays(slot)), None))
    except (EOFError, OSError, KeyboardInterrupt):
        return  # the feed was closed
    except ZoetropeError as error:
        failure = str(error)
    except Exception:
        failure = f"a feed worker failed:\n{traceback.format_exc()}"
    with suppress(OSError):
        pipe.send((None, None, failure))


def _end_with_parent() -> None:
    """A worker that hangs in a decoder does not see its pipe close; without this it would outlive a killed parent."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
