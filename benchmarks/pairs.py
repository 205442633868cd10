"""Ways to do the same work, measured in turns in one run, so that what else the machine does hits all of them."""

import ctypes
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Ratio:
    """Peer over ours: above 1 we need less. `low` and `high` are the quartiles of the turns' ratios."""

    ours: float
    peer: float
    ratio: float
    low: float
    high: float


def compare_time(ours: Callable[[], Any], peer: Callable[[], Any], turns: int) -> Ratio:
    """Seconds of both, medians over `turns` >= 2; the ratio is the median of the turns' own ratios.

    On GPU seconds are those of the clock. On CPU they are processor time of all threads: what other programs do on the
    machine is not counted (set OMP_WAIT_POLICY=passive before torch is imported, or waiting threads count as work).
    """
    pairs = []
    for turn in range(turns + 1):
        order = (ours, peer) if turn % 2 else (peer, ours)
        spent = {work: seconds(work) for work in order}
        # The first turn warms up caches and allocators.
        if turn:
            pairs.append((spent[ours], spent[peer]))
    low, middle, high = statistics.quantiles([slow / quick for quick, slow in pairs], n=4)
    return Ratio(statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs), middle, low, high)


def in_turns(ways: Mapping[str, Callable[[], Answer]], turns: int) -> dict[str, list[Answer]]:
    """What each way answers (seconds, or a rate), `turns` times; the order alternates, and a first turn is not kept."""
    answers: dict[str, list[Answer]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name in list(ways) if turn % 2 else list(ways)[::-1]:
            answer = ways[name]()
            if turn:
                answers[name].append(answer)
    return answers


def quotients(over: Sequence[float], under: Sequence[float]) -> str:
    """The median of the turns' own ratios, and in brackets the lowest and the highest."""
    ratios = [a / b for a, b in zip(over, under, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def peak_bytes(work: Callable[[], Any]) -> int:
    """The most memory that `work` held above what was held before it; on CPU resident memory, known on Linux only."""
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    if sys.platform != "linux":
        return 0
    # What the allocator kept from earlier work would hide what this one needs.
    ctypes.CDLL(None).malloc_trim(0)
    # Writing 5 resets the kernel's record of this process's peak (proc(5)).
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_bytes("VmRSS")
    work()
    return _status_bytes("VmHWM") - before


def seconds(work: Callable[[], Any]) -> float:
    """Return what `work` takes: seconds of the clock on GPU, of the processor on CPU."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    _wait()
    start = clock()
    work()
    _wait()
    return clock() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))
