"""The soak itself, for a second or two: it kills, and it finds batches that are different."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import soak
from pipeline.feed.batch import BatchMaker


class Wrong(BatchMaker):
    """One byte is another."""

    def make(self, epoch: int, k: int, arrays: dict[str, Any], first: int = 0) -> tuple[int, int]:
        made = super().make(epoch, k, arrays, first)
        arrays["pixels"][0, 0, 0, 0, 0] ^= 1
        return made


def test_kills_and_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "SAMPLES", {"image": 40})
    monkeypatch.setattr(soak, "SHORTEST_S", 0.2)
    monkeypatch.setattr(soak, "LONGEST_S", 0.4)
    source = soak.made_source(tmp_path, "image")
    soaked, bad = soak.soak(source, 1.5, 2, 0)
    assert soaked.kills > 0
    assert soaked.batches > 0
    assert (soaked.different, bad) == (0, {})

    monkeypatch.setattr(soak, "BatchMaker", Wrong)
    soaked, _ = soak.soak(source, 0.5, 1, 0)
    assert soaked.different == soaked.batches > 0
