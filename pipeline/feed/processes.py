"""Starting worker processes beside a process that must not be forked: Ray's and CUDA's threads would not survive it."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any

from pipeline.base.forks import HOOK, SOCKET

_starting = threading.Lock()
"""What children are told is told to one at a time."""
CONTEXT: Any = multiprocessing.get_context("forkserver")
PRELOAD = ["pipeline.feed.preload"]
MOST_TRIES = 2
MOST_KILLED = 5
"""Tries of what was interrupted by SIGKILL or SIGTERM: these may come from anywhere, and say little about a sample."""


def start_fork_server() -> None:
    """Start the fork server, which loads what workers need while this process does something else."""
    with _for_children():
        forkserver.set_forkserver_preload(PRELOAD)
        forkserver.ensure_running()


def light_context() -> Any:
    """Return the context for a process that needs little of what the fork server loads, unless it is there already."""
    is_fork = HOOK in sys.path and os.environ.get(SOCKET)
    return CONTEXT if is_fork else multiprocessing.get_context("spawn")


def start(target: Callable[..., None], *arguments: Any, context: Any = CONTEXT) -> tuple[Any, Connection]:
    """Start a process that runs `target(pipe, *arguments)`, and our end of the pipe."""
    if context is CONTEXT:
        start_fork_server()
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
    with _for_children():
        process.start()
    theirs.close()
    return process, ours


def most_tries(exit_code: int | None) -> int:
    """Return how often to try the work at which a process died."""
    return MOST_KILLED if exit_code in (-signal.SIGKILL, -signal.SIGTERM) else MOST_TRIES


def end_with_parent() -> None:
    """Wait for the parent process to end, however it does, and end this one, which may hang and not see its pipe close.

    For a thread of a worker.
    """
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


@contextmanager
def _for_children() -> Iterator[None]:
    """Set what children are told of this process, while one is started.

    Not its main module, which they would run again: half a second a process when that is Ray's worker. And its
    sys.path also by environment: the fork server of Python 3.11 takes no other, and skips what it cannot import.
    """
    with _starting:
        main, path = sys.modules["__main__"], os.environ.get("PYTHONPATH")
        sys.modules["__main__"] = ModuleType("__main__")
        os.environ["PYTHONPATH"] = os.pathsep.join(part or os.getcwd() for part in sys.path)
        try:
            yield
        finally:
            sys.modules["__main__"] = main
            if path is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = path
