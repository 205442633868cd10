"""A damaged shard is found beside the work that reads it. Every fault is made for real."""

import threading
from collections.abc import Callable

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.cluster import whole_shards
from pipeline.cluster.whole_shards import hashed_beside
from pipeline.shards.dataset import Dataset

SPLITS = ("train", "val")
Damaged = Callable[[Dataset, str, dict[int, Callable[[bytes], bytes]]], Dataset]


def flipped(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


def test_whole_ones_are_passed_in_silence(images: Dataset) -> None:
    with hashed_beside(images, SPLITS) as look:
        look()


@pytest.mark.parametrize(
    ("split", "sample", "name", "again"),
    [
        ("train", 20, "train/shard-000001.tar", "`run RECIPE --rerun shard --rerun train` makes it again and trains"),
        ("val", 3, "val/shard-000000.tar", "`run RECIPE --rerun shard` makes it again"),
    ],
)
def test_one_flipped_bit_ends_the_work(
    images: Dataset, damaged: Damaged, split: str, sample: int, name: str, again: str
) -> None:
    dataset = damaged(images, split, {sample: flipped})
    done = []
    with (
        pytest.raises(ZoetropeError, match=rf"{name}: this file is damaged .*{again}"),
        hashed_beside(dataset, SPLITS),
    ):
        done.append("the work")
    assert done == ["the work"]  # which learns of it at its end, if not before

    def work() -> None:
        with hashed_beside(dataset, SPLITS) as look:
            while True:
                look()

    with pytest.raises(ZoetropeError, match=name):
        work()


def test_ranks_share_the_work(images: Dataset, damaged: Damaged) -> None:
    """Of three shards the second is that of rank 1 of 2."""
    dataset = damaged(images, "train", {20: flipped})
    with hashed_beside(dataset, SPLITS, 0, 2):
        pass
    with pytest.raises(ZoetropeError, match=r"shard-000001\.tar"), hashed_beside(dataset, SPLITS, 1, 2):
        pass


def test_a_missing_shard_is_said(images: Dataset, damaged: Damaged) -> None:
    dataset = damaged(images, "train", {})
    (dataset.folder / "train/shard-000000.tar").unlink()
    with (
        pytest.raises(ZoetropeError, match=r"shard-000000\.tar: this shard cannot be read: No such"),
        hashed_beside(dataset, SPLITS),
    ):
        pass


def test_what_ends_the_work_ends_the_hashing(images: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_shards, "BLOCK_BYTES", 1)

    def stop() -> None:
        with hashed_beside(images, SPLITS):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hash")]


def test_fetched_shards_are_not_hashed_again(
    images: Dataset, damaged: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were when they came from the store, see `pipeline.store.cache`."""
    dataset = damaged(images, "train", {20: flipped})
    monkeypatch.setattr(type(dataset.files), "is_fetched", lambda self, name: True)
    with hashed_beside(dataset, SPLITS):
        pass
