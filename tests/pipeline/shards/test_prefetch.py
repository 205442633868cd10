"""What is read when is listed rightly, and fetched in that order, ahead, within a budget."""

import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.shards.prefetch import Ahead, Run, most_bytes, shard_runs
from pipeline.shards.shard import Shard


def shards(count: int, size: int = 100) -> list[Shard]:
    return [Shard(f"train/shard-{i:06d}.tar", 1, size, "0" * 64, "0" * 64) for i in range(count)]


class Fetched:
    """Files that only note what is fetched, by the numbers of the shards."""

    path = Path()

    def __init__(self) -> None:
        self.tars: list[int] = []
        self.came = threading.Condition()
        self.refuse: Exception | None = None

    def file(self, name: str) -> Path:
        return Path(name)

    def is_fetched(self, name: str) -> bool:
        return True

    def fetch(self, names: Iterable[str]) -> None:
        if self.refuse:
            raise self.refuse
        with self.came:
            new = [int(name[12:18]) for name in names if name.endswith(".tar")]
            self.tars += [number for number in new if number not in self.tars]
            self.came.notify_all()

    def wait_for(self, count: int) -> None:
        with self.came:
            assert self.came.wait_for(lambda: len(self.tars) >= count, timeout=300)


def test_an_example() -> None:
    steps = [np.array(step) for step in ([0, 1], [1, 1], [2], [2, 0], [2])]
    assert shard_runs(steps, 10, gap=9) == [Run(0, 10, 13), Run(1, 10, 11), Run(2, 12, 14)]
    assert shard_runs(steps, 10, gap=1) == [Run(0, 10, 10), Run(1, 10, 11), Run(2, 12, 14), Run(0, 13, 13)]


@given(st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=5), max_size=30), st.integers(0, 5), st.integers(1, 8))
def test_runs_cover_what_is_read_and_no_more(steps: list[list[int]], first: int, gap: int) -> None:
    runs = shard_runs([np.array(step) for step in steps], first, gap)
    read = {(shard, step) for step, needed in enumerate(steps, first) for shard in needed}
    assert all(any(r.shard == shard and r.first <= step <= r.last for r in runs) for shard, step in read)
    assert all((run.shard, run.first) in read and (run.shard, run.last) in read for run in runs)
    assert [run.first for run in runs] == sorted(run.first for run in runs)
    for run in runs:
        used = sorted(step for shard, step in read if shard == run.shard and run.first <= step <= run.last)
        assert max(np.diff(used), default=0) <= gap
        assert all(
            other.first > run.last + gap for other in runs if other.shard == run.shard and other.first > run.first
        )
    most = max((len({r.shard for r in runs if r.first <= step <= r.last}) for _, step in read), default=0)
    assert most_bytes(runs, shards(7)) == 100 * most


def test_shards_come_ahead_in_order_and_within_the_budget() -> None:
    files = Fetched()
    runs = [Run(i, 10 * i, 10 * i + 9) for i in range(40)]
    ahead = Ahead(files, shards(40), lambda epoch: runs, [0], budget_bytes=1200, margin=5)
    try:
        ahead.at(0)
        files.wait_for(12)
        assert files.tars == [*range(12)]  # the budget is used up, and no more comes
        ahead.at(50)  # five are behind
        files.wait_for(16)
        assert files.tars == [*range(16)]
        ahead.at(399)
        files.wait_for(40)
        assert files.tars == [*range(40)]
    finally:
        ahead.close()


def test_what_is_needed_now_comes_even_over_the_budget() -> None:
    files = Fetched()
    runs = [Run(i, 0, 9) for i in range(8)]
    ahead = Ahead(files, shards(8), lambda epoch: runs, [0], budget_bytes=150, margin=0)
    try:
        ahead.at(0)
        assert len(files.tars) == 8
    finally:
        ahead.close()


def test_epochs_follow_each_other() -> None:
    files = Fetched()
    ahead = Ahead(
        files, shards(8), lambda e: [Run(4 * e + i, 4 * e + i, 4 * e + i) for i in range(4)], [0, 1], 400, margin=0
    )
    try:
        ahead.at(0)
        files.wait_for(4)
        ahead.at(4)
        files.wait_for(8)
    finally:
        ahead.close()


def test_errors_of_fetching_reach_who_waits() -> None:
    files = Fetched()
    files.refuse = OSError("the store is away")
    ahead = Ahead(files, shards(2), lambda epoch: [Run(0, 0, 1)], [0], 1000, margin=0)
    with pytest.raises(OSError, match="the store is away"):
        ahead.at(0)
    ahead.close()


def test_closing_ends_a_thread_that_waits_for_room() -> None:
    files = Fetched()
    ahead = Ahead(files, shards(9), lambda epoch: [Run(i, 100 * i, 100 * i) for i in range(9)], [0], 400, margin=0)
    ahead.at(0)
    files.wait_for(4)
    ahead.close()
    assert not any(thread.name == "ahead" for thread in threading.enumerate())
