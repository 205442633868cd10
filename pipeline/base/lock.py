"""Locks between the processes of a node, or of the nodes that share a folder: the kernel frees them when one dies."""

import fcntl
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

POLL_S = 0.2


def lock(path: Path, on_wait: Callable[[str], Any]) -> int:
    """Return a descriptor that holds the lock until it is closed.

    Tells `on_wait` once, naming the holder, if it must wait.
    """
    reported = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever finishes removes the file, so the one that is locked now may have no name any more.
            with suppress(FileNotFoundError):
                if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                    os.truncate(descriptor, 0)
                    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
                    return descriptor
            os.close(descriptor)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace")  # empty until the holder has written it
            if holder and not reported:
                on_wait(holder)
                reported = True
            os.close(descriptor)
            time.sleep(POLL_S)
        except BaseException:
            os.close(descriptor)
            raise


def is_locked(path: Path) -> bool:
    """Tell whether a process holds the lock; False where there is none."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
