import threading
from multiprocessing import Pipe
from typing import Any

import pytest

from pipeline.feed import worker
from pipeline.feed.ring import Ring


class Source:
    def place(self, step: int) -> tuple[int, int]:
        return divmod(step, 3)


class Maker:
    def __init__(self, source: Any) -> None:
        pass

    def make(self, epoch: int, k: int, arrays: Any) -> tuple[int, int]:
        if (epoch, k) == (1, 2):
            raise TypeError("a bug")
        return 10 * epoch + k, 99


class NoRing:
    def arrays(self, slot: int) -> dict[str, Any]:
        return {}


def test_answers_until_the_pipe_closes_and_tells_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "BatchMaker", Maker)
    ring: Ring = NoRing()  # type: ignore[assignment]
    ours, theirs = Pipe()
    life = threading.Thread(target=worker.work, args=(theirs, ring, Source()))
    life.start()
    ours.send((4, 0))
    assert ours.recv() == (4, (11, 99), None)
    ours.send((5, 0))
    step, made, failure = ours.recv()
    assert (step, made) == (None, None)
    assert failure.startswith("a feed worker failed:\nTraceback")
    assert "TypeError: a bug" in failure
    life.join(timeout=60)
    assert not life.is_alive()

    ours, theirs = Pipe()
    life = threading.Thread(target=worker.work, args=(theirs, ring, Source()))
    life.start()
    ours.close()
    life.join(timeout=60)
    assert not life.is_alive()
