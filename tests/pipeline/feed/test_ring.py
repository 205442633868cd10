import multiprocessing
import shutil
from collections import namedtuple

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.feed.ring import Layout, Ring, new_arrays, slot_bytes

LAYOUT: Layout = {"pixels": (np.dtype(np.uint8), (3, 5)), "label": (np.dtype(np.int64), (3,))}
CONTEXT = multiprocessing.get_context("forkserver")


def test_slots_and_arrays_do_not_overlap_and_are_aligned() -> None:
    assert slot_bytes(LAYOUT) == 128
    ring = Ring.allocate(LAYOUT, 3, CONTEXT)
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


def test_a_ring_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 383))
    with pytest.raises(ZoetropeError, match=r"/dev/shm has 0 MiB free. Lower feed.workers or train.batch_size"):
        Ring.allocate(LAYOUT, 3, CONTEXT)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 384))
    Ring.allocate(LAYOUT, 3, CONTEXT)


def test_arrays_of_ones_own_memory() -> None:
    assert {name: (array.dtype, array.shape) for name, array in new_arrays(LAYOUT).items()} == LAYOUT
