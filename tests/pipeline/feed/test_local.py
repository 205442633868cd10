import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.feed.batch import BatchSource
from pipeline.feed.local import Batch, LocalFeed
from pipeline.shards.dataset import Dataset
from pipeline.shards.index import index_path
from tests.processes import left_of

ROOT = Path(__file__).parents[3]
STEPS = range(2, 9)
TIMEOUT_S = 200.0


@pytest.fixture
def source(make_recipe: Any, images: Dataset) -> BatchSource:
    return BatchSource(make_recipe("image"), images, "train", 0, 2, training=True)


def copied(batches: Iterator[Batch]) -> list[tuple[int, dict[str, np.ndarray]]]:
    return [(batch.samples, {name: array.copy() for name, array in batch.arrays.items()}) for batch in batches]


def all_of(source: BatchSource, workers: int) -> list[tuple[int, dict[str, np.ndarray]]]:
    with closing(LocalFeed(source, STEPS, workers, TIMEOUT_S)) as feed:
        return copied(iter(feed))


def assert_same(found: Any, expected: Any) -> None:
    assert len(found) == len(expected)
    for (n, arrays), (expected_n, expected_arrays) in zip(found, expected, strict=True):
        assert n == expected_n
        for name, array in expected_arrays.items():
            assert np.array_equal(arrays[name], array)


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_are_the_same_from_any_number_of_processes(source: BatchSource, workers: int) -> None:
    assert_same(all_of(source, workers), all_of(source, 0))


def test_no_batches_need_no_workers(source: BatchSource) -> None:
    for workers in (0, 2):
        with closing(LocalFeed(source, range(5, 5), workers, TIMEOUT_S)) as feed:
            assert feed.workers == []
            assert list(feed) == []


def test_a_batch_is_not_overwritten_while_it_is_in_use(source: BatchSource) -> None:
    expected = all_of(source, 0)
    with closing(LocalFeed(source, STEPS, 2, TIMEOUT_S)) as feed:
        for (_, arrays), batch in zip(expected, feed, strict=True):
            # Until every worker has answered all it was asked for and cannot go on, for want of a slot.
            while any(worker.owed for worker in feed.workers):
                for pipe in wait([worker.pipe for worker in feed.workers if worker.owed], timeout=60):
                    feed._receive(next(worker for worker in feed.workers if worker.pipe is pipe))
                feed._ask()
            for name, array in arrays.items():
                assert np.array_equal(batch.arrays[name], array)


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_workers_batches_are_made_by_another(source: BatchSource, killed: int) -> None:
    expected = all_of(source, 0)
    with closing(LocalFeed(source, STEPS, 2, TIMEOUT_S)) as feed:
        victim = feed.workers[killed].process
        os.kill(victim.pid, signal.SIGKILL)
        found = copied(iter(feed))
        assert victim.pid not in [worker.process.pid for worker in feed.workers]
    assert_same(found, expected)


def test_killed_again_and_again_between_batches_nothing_is_lost(source: BatchSource) -> None:
    expected, found = all_of(source, 0), []
    with closing(LocalFeed(source, STEPS, 1, TIMEOUT_S)) as feed:
        for batch in feed:
            found += copied(iter([batch]))
            os.kill(feed.workers[0].process.pid, signal.SIGKILL)
    assert_same(found, expected)


def test_workers_that_are_killed_before_they_begin_are_said(
    source: BatchSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = LocalFeed._start

    def start_and_kill(feed: LocalFeed, number: int) -> Any:
        worker = start(feed, number)
        os.kill(worker.process.pid, signal.SIGKILL)
        return worker

    monkeypatch.setattr(LocalFeed, "_start", start_and_kill)
    with (
        closing(LocalFeed(source, STEPS, 1, TIMEOUT_S)) as feed,
        pytest.raises(
            ZoetropeError,
            match=r"a feed worker died \(exit code -9\), 5 times at batch 2 of epoch 0 of the split 'train' of .*im",
        ),
    ):
        next(iter(feed))


def test_a_worker_that_takes_too_long_is_replaced(source: BatchSource) -> None:
    expected = all_of(source, 0)
    with closing(LocalFeed(source, STEPS, 1, TIMEOUT_S)) as feed:
        stuck = feed.workers[0]
        os.kill(stuck.process.pid, signal.SIGSTOP)
        stuck.since_s -= TIMEOUT_S + 1
        feed.ring.cell(0)._values[0] -= int((TIMEOUT_S + 1) * 1e9)
        assert_same(copied(iter(feed)), expected)
        assert left_of([stuck.process.pid]) == []


def test_a_second_timeout_is_said(source: BatchSource, monkeypatch: pytest.MonkeyPatch) -> None:
    start = LocalFeed._start

    def start_and_stop(feed: LocalFeed, number: int) -> Any:
        worker = start(feed, number)
        os.kill(worker.process.pid, signal.SIGSTOP)
        return worker

    monkeypatch.setattr(LocalFeed, "_start", start_and_stop)
    with (
        closing(LocalFeed(source, STEPS, 1, 0.1)) as feed,
        pytest.raises(ZoetropeError, match=r"took longer than feed.timeout_s = 0.1 s, 2 times at batch 2 of epoch 0"),
    ):
        next(iter(feed))


def test_nothing_is_left_after_close(source: BatchSource) -> None:
    names = sorted(os.listdir("/dev/shm"))
    feed = LocalFeed(source, STEPS, 2, TIMEOUT_S)
    pids = [worker.process.pid for worker in feed.workers]
    next(iter(feed))
    assert sorted(os.listdir("/dev/shm")) == names  # the ring has no name
    feed.close()
    assert left_of(pids) == []
    feed.close()  # twice is as good as once


def test_waiting_is_measured(source: BatchSource) -> None:
    with closing(LocalFeed(source, STEPS, 0, TIMEOUT_S)) as feed:
        began_s = time.perf_counter()
        list(feed)
        assert 0 < feed.waited_s <= time.perf_counter() - began_s


PARENT = """
import pickle, sys, time
sys.path.insert(0, sys.argv[3])
from multiprocessing import forkserver
from pathlib import Path
from pipeline.feed.local import LocalFeed
source = pickle.loads(Path(sys.argv[1]).read_bytes())
feed = LocalFeed(source, range(8), 2, 200.0)
if sys.argv[2] == "works":
    next(iter(feed))
pids = [forkserver._forkserver._forkserver_pid, *(worker.process.pid for worker in feed.workers)]
print(*pids, flush=True)
time.sleep(1000)
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Callable[[BatchSource, str], tuple[subprocess.Popen[str], list[int]]]]:
    """`parent(source, "works")`: a process with a feed of two workers, its fork server's and its workers' ids."""
    import pickle

    processes: list[subprocess.Popen[str]] = []
    pids: list[int] = []

    def start(source: BatchSource, how: str) -> tuple[subprocess.Popen[str], list[int]]:
        path = tmp_path / "source"
        path.write_bytes(pickle.dumps(source))
        # Where the project is, only its sys.path says, as under pytest.
        command = [sys.executable, "-c", PARENT, str(path), how, str(ROOT)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path))
        assert processes[0].stdout
        pids.extend(int(pid) for pid in processes[0].stdout.readline().split())
        return processes[0], pids

    yield start
    for process in processes:
        process.kill()
        process.wait()
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_nothing_is_left_when_the_parent_is_killed(source: BatchSource, parent: Any) -> None:
    process, pids = parent(source, "works")
    assert len(pids) == 3
    process.kill()
    assert left_of(pids) == []


def test_a_worker_that_hangs_does_not_outlive_its_parent(
    make_recipe: Any, images: Dataset, damaged: Any, parent: Any
) -> None:
    broken = damaged(images, "train", {})
    for shard in broken.split("train").shards:  # opening a pipe that nobody writes to takes for ever
        index = index_path(broken.folder / shard.name)
        index.unlink()
        os.mkfifo(index)
    process, pids = parent(BatchSource(make_recipe("image"), broken, "train", training=True), "hangs")
    assert all(psutil.pid_exists(pid) for pid in pids)
    process.kill()
    assert left_of(pids) == []


def test_workers_come_without_torch(source: BatchSource, parent: Any) -> None:
    _, pids = parent(source, "works")
    for pid in pids:
        assert not [file.path for file in psutil.Process(pid).memory_maps() if "libtorch" in file.path]
