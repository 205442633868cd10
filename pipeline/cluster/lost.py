"""What happens when a process of Ray's own dies under a run on this machine: the run ends in words, and soon.

By itself Ray goes on for a minute, shows pages of its log, and then ends the driver in native code, where nothing more
can be said.
"""

import atexit
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from pipeline.base.errors import ZoetropeError

LOOK_S = 1.0
OURS = ("gcs_server", "raylet")
"""Children of the process that started Ray, without which no run goes on."""


class RayLostError(ZoetropeError):
    """Ray itself is gone. What is finished is kept."""

    resumable = True


@contextmanager
def signals_end_the_block() -> Iterator[list[str]]:
    """Let SIGTERM, by `ray job stop` for one, end the block as Ctrl-C does; the death of Ray's by a RayLostError.

    In the block that is a KeyboardInterrupt, too, and the list that this gives then has the names of what died: nothing
    is to be asked of Ray any more.
    """
    children = {name: child for child in psutil.Process().children() if (name := child.name()) in OURS}
    ended, lost = threading.Event(), list[str]()
    main = threading.get_ident()

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt  # Ray's own code lets no other exception through

    def watch() -> None:
        while not ended.wait(LOOK_S):
            if gone := [name for name, child in children.items() if not _runs(child)]:
                lost.extend(gone)
                atexit.register(os._exit, 1)  # before Ray's own end, which waits for what is gone
                signal.pthread_kill(main, signal.SIGTERM)  # to this very thread, whatever it waits for
                return

    before = signal.signal(signal.SIGTERM, interrupt)
    threading.Thread(target=watch, name="watch-ray", daemon=True).start()
    try:
        yield lost
    except KeyboardInterrupt:
        if not lost:
            raise
        raise RayLostError(
            f"Ray's process {lost[0]} died (killed, or memory ran out), and with it all that ran."
        ) from None
    finally:
        ended.set()
        signal.signal(signal.SIGTERM, before)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
