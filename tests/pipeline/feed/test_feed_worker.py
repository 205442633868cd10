import ctypes
import subprocess
import sys
import threading
from multiprocessing import Pipe
from typing import Any

import pytest

from pipeline.feed import feed_worker as worker
from pipeline.feed.bad_samples import Bad
from pipeline.feed.feed_worker import Ask, Made
from pipeline.feed.laps import Laps


class Source:
    def place(self, step: int) -> tuple[int, int]:
        return divmod(step, 3)

    def sized(self, arrays: Any, step: int) -> Any:
        return arrays


class Maker:
    def __init__(self, source: Any, bad: Bad, cell: Any, cache: None) -> None:
        self.bad, self.laps = bad, Laps(on=False)

    def make(self, epoch: int, k: int, arrays: Any, first: int) -> tuple[int, int]:
        if (epoch, k) == (1, 2):
            raise TypeError("a bug")
        assert self.bad == {2: "told"}
        self.bad[9] = f"found, {first} first"
        return 10 * epoch + k, 99


class NoRing:
    def cell(self, worker: int) -> None:
        pass

    def arrays(self, slot: int) -> dict[str, Any]:
        return {}


def test_answers_until_the_pipe_closes_and_tells_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "BatchMaker", Maker)
    ring: Any = NoRing()
    ours, theirs = Pipe()
    life = threading.Thread(target=worker.work, args=(theirs, ring, 0, Source(), None))
    life.start()
    ours.send(Ask(4, 0, {2: "told"}, first=6))
    assert ours.poll(300)
    assert ours.recv() == Made(4, 11, 99, {9: "found, 6 first"}, {})
    ours.send(Ask(5, 0))
    failure = ours.recv().reason
    assert failure.startswith("a feed worker failed:\nTraceback")
    assert "TypeError: a bug" in failure
    life.join(timeout=300)
    assert not life.is_alive()

    ours, theirs = Pipe()
    life = threading.Thread(target=worker.work, args=(theirs, ring, 0, Source(), None))
    life.start()
    ours.close()
    life.join(timeout=300)
    assert not life.is_alive()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc's malloc alone takes the settings")
def test_freed_memory_is_kept() -> None:
    """Sixteen arrays of 2 MB, again and again: without the settings, the system gives each page anew."""
    code = (
        "import numpy, resource\n"
        "from pipeline.feed.feed_worker import keep_freed_memory\n"
        "keep_freed_memory()\n"
        "for turn in range(21):\n"
        "    arrays = [numpy.ones(2**21, 'uint8') for _ in range(16)]\n"
        "    if not turn: before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    del arrays\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )
    faults = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert faults < 1000
