import multiprocessing
import shutil
import time
from collections import namedtuple

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.feed.ring import Ring, idle_cell, new_arrays, slot_bytes
from pipeline.tasks.base import Layout

LAYOUT: Layout = {"pixels": (np.dtype(np.uint8), (3, 5)), "label": (np.dtype(np.int64), (3,))}
CONTEXT = multiprocessing.get_context("forkserver")


def test_slots_and_arrays_do_not_overlap_and_are_aligned() -> None:
    assert slot_bytes(LAYOUT) == 128
    ring = Ring.allocate(LAYOUT, 3, 2, CONTEXT)
    for worker in range(2):
        ring.cell(worker).begin(7 + worker, 5)
    for slot in range(3):
        for name, array in ring.arrays(slot).items():
            assert not array.any()  # nobody wrote here yet
            assert array.ctypes.data % 8 == 0
            array[...] = slot + 10 * (name == "label") + 1
    for slot in range(3):
        arrays = ring.arrays(slot)
        assert (arrays["pixels"] == slot + 1).all()
        assert (arrays["label"] == slot + 11).all()
        assert {name: (array.dtype, array.shape) for name, array in arrays.items()} == LAYOUT
    assert [ring.cell(worker).at for worker in range(2)] == [(7, 5), (8, 5)]


def test_a_cell_says_what_its_worker_is_at_and_since_when() -> None:
    cell = idle_cell()
    assert cell.at is None
    before_s = time.monotonic()
    cell.begin(0, 3)
    began_s = cell.since_s
    assert cell.at == (0, 3)
    assert before_s <= began_s <= time.monotonic()
    cell.rest()
    assert cell.at is None
    assert cell.since_s >= began_s


def test_a_ring_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 511))
    with pytest.raises(ZoetropeError, match=r"/dev/shm has 0 MiB free. Lower feed.workers or train.batch_size"):
        Ring.allocate(LAYOUT, 3, 2, CONTEXT)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 512))
    Ring.allocate(LAYOUT, 3, 2, CONTEXT)


def test_arrays_of_ones_own_memory() -> None:
    assert {name: (array.dtype, array.shape) for name, array in new_arrays(LAYOUT).items()} == LAYOUT
