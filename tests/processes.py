"""Processes that a test has started: which belong to one, and whether they have ended."""

import os
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

from pipeline.base.forks import HOOK, ROOT, workers

PYTHONPATH = os.pathsep.join([str(ROOT), HOOK])
"""For processes that start Ray, or a command that does: its workers are forks of the server of the tests."""


def family(pid: int, word: str = "", recursive: bool = True) -> list[psutil.Process]:
    """What a process has begotten and has the word in its command line; any of them may end while one looks.

    Ray's workers count as the raylet's, where they are forks (`pipeline.base.forks`), too.
    """
    found = psutil.Process(pid).children(recursive)
    for raylet in [pid, *(child.pid for child in found if recursive)]:
        for worker in workers(raylet):
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(worker)
                found += [process, *(process.children(recursive) if recursive else ())]
    return [process for process in found if word in (_command(process) or [])]


def _command(process: psutil.Process) -> str | None:
    """Return its command line; None when it has ended."""
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return None


def begotten(pid: int) -> set[int]:
    """All that a driver has begotten, but for two of Ray's, which outlive a killed raylet by a minute."""
    return {child.pid for child in family(pid)} - {child.pid for child in family(pid, "Agent")}


def left_of(pids: Iterable[int], timeout_s: float = 200) -> list[str]:
    """Those that have not ended after so long. A zombie has: only its parent has not asked yet how."""
    until_s = time.monotonic() + timeout_s
    while (left := _running(pids := list(pids))) and time.monotonic() < until_s:
        time.sleep(0.05)
    return left


def _running(pids: list[int]) -> list[str]:
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{pid} {' '.join(process.cmdline())[:200]}")
    return found
