"""Training on a dataset that is larger than the node's cache: shards come ahead of the order, each once an epoch."""

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.base.errors import ZoetropeError
from pipeline.cluster.feed_actor import Maker
from pipeline.cluster.shard_prefetch import shards_ahead
from pipeline.feed.batch import BatchSource
from pipeline.shards.dataset import Dataset, open_dataset
from pipeline.shards.order import rank_slice
from pipeline.shards.reader import ShardReader
from pipeline.shards.writer import write_dataset, write_shard
from pipeline.store.eviction import LIMIT, held_bytes
from pipeline.store.objects import Objects
from pipeline.store.remote import RemoteStore
from pipeline.training.distributed import Process
from pipeline.training.loop import LOG_EVERY_STEPS
from tests.conftest import image_sample

SHARDS, SAMPLES = 40, 12
EPOCHS = 3


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dataset]:
    """40 shards of 12 images in a store that is no folder, none of them on this node."""
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "made"
    made = {
        split: [
            write_shard(
                folder, split, n, n * SAMPLES, [image_sample(i % 3, first + 100 * n + i) for i in range(SAMPLES)]
            )
            for n in range(count)
        ]
        for split, count, first in (("train", SHARDS, 0), ("val", 1, 9000))
    }
    write_dataset(folder, "image", ["a", "b", "c"], made)
    store = RemoteStore("memory://ahead/runs")
    with store.work("shard", "f" * 32) as work:
        shutil.copytree(folder, work.out, dirs_exist_ok=True)
        artifact = store.publish(work, {"version": 1, "values": {}, "inputs": {}, "code": {}, "facts": {}})
    shutil.rmtree(tmp_path / "cache")
    yield open_dataset(artifact.files)
    filesystem, path = store.objects.filesystem()
    filesystem.rm(path, recursive=True)


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(file, thread) of every download."""
    seen: list[tuple[str, str]] = []
    real = Objects.download

    def download(self: Objects, key: str, target: Path) -> None:
        seen.append(("/".join(key.split("/")[-2:]), threading.current_thread().name))
        real(self, key, target)

    monkeypatch.setattr(Objects, "download", download)
    return seen


RECIPE = {"train.batch_size": 4, "train.duration": f"{EPOCHS}ep", "train.shuffle_window": 6}


@dataclass
class Node:
    """Reads what a training on the dataset reads, into a cache of so many bytes."""

    dataset: Dataset
    recipe: Any
    cache: Path
    limit: Callable[[int], None]

    def train(
        self, start: int = 0, rank: int = 0, world: int = 1, meet: Callable[[], Any] = lambda: None
    ) -> tuple[int, list[str]]:
        """From step `start` on, where ranks `meet` at each; the most that the cache held, and what was said."""
        source = BatchSource(self.recipe, self.dataset, "train", rank, world, training=True)
        reader = ShardReader(self.dataset.files, "train")
        said: list[str] = []
        most = 0
        process = Process(rank, world, torch.device("cpu"))
        with shards_ahead(self.recipe, self.dataset, process, world, start, said.append) as at:
            for step in range(start, EPOCHS * source.steps):
                meet()
                batch = source.positions(*source.place(step))
                part = batch[rank_slice(len(batch), 1, rank, world)]
                for shard, index in zip(part.shard.tolist(), part.index.tolist(), strict=True):
                    assert reader.read(shard, index).label == index % 3
                if (step + 1) % LOG_EVERY_STEPS == 0:
                    at(step + 1)
                    most = max(most, held_bytes(self.cache))
        return most, said


@pytest.fixture
def node(dataset: Dataset, make_recipe: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    def limit(most_bytes: int) -> None:
        monkeypatch.setenv(LIMIT, str(most_bytes))

    return Node(dataset, make_recipe("image", **RECIPE), tmp_path / "cache", limit)


def train_bytes(node: Node) -> int:
    return sum(shard.bytes for shard in node.dataset.split("train").shards)


Downloads = list[tuple[str, str]]


def fetched_when_asked_for(downloads: Downloads) -> list[str]:
    """Tars for which a reader had to wait: they were not there ahead of it."""
    return [name for name, thread in downloads if thread == "MainThread" and name.endswith(".tar")]


@pytest.mark.parametrize("start", [0, 157])
def test_a_cache_smaller_than_the_dataset(node: Node, downloads: Downloads, start: int) -> None:
    limit = train_bytes(node) * 6 // 10
    node.limit(limit)
    most, said = node.train(start)
    assert most <= limit
    assert said == []
    assert fetched_when_asked_for(downloads) == []
    count = Counter(name for name, _ in downloads if name.startswith("train/") and name.endswith(".tar"))
    assert len(count) == SHARDS
    assert max(count.values()) <= EPOCHS - start // 120
    assert sum(count.values()) > SHARDS, "nothing had to be fetched again, so the test shows nothing"


def test_a_cache_that_holds_all_fetches_all_once(node: Node, downloads: Downloads) -> None:
    node.limit(2 * train_bytes(node))
    node.train()
    count = Counter(name for name, _ in downloads)
    assert set(count.values()) == {1}
    assert len(count) == 2 * (SHARDS + 1)


def test_two_ranks_of_a_node_share_a_cache(node: Node, downloads: Downloads) -> None:
    node.limit(train_bytes(node) * 8 // 10)
    failed: list[BaseException] = []
    together = threading.Barrier(2)

    def one(rank: int) -> None:
        try:
            node.train(rank=rank, world=2, meet=together.wait)
        except BaseException as error:
            failed.append(error)
            together.abort()

    ranks = [threading.Thread(target=one, args=(rank,), name="MainThread") for rank in range(2)]
    for thread in ranks:
        thread.start()
    for thread in ranks:
        thread.join()
    assert failed == []
    assert fetched_when_asked_for(downloads) == []


def test_a_cache_that_is_far_too_small_is_slow_and_says_so(node: Node) -> None:
    node.limit(train_bytes(node) // 10)
    _, said = node.train(start=340)
    assert len(said) == 1
    assert "some are fetched several times an epoch. Raise ZOETROPE_CACHE_LIMIT" in said[0]


def test_no_room_beside_the_validation_split(node: Node) -> None:
    node.limit(node.dataset.split("val").shards[0].bytes)
    with pytest.raises(ZoetropeError, match="the validation split alone takes"):
        node.train()


@pytest.mark.slow
def test_actors_of_a_remote_feed_have_their_shards_ahead(node: Node, downloads: Downloads) -> None:
    limit = train_bytes(node) * 9 // 10
    node.limit(limit)
    source = BatchSource(node.recipe, node.dataset, "train", training=True)
    said: list[str] = []
    steps, makers, most = range(7, EPOCHS * source.steps), [Maker(said.append), Maker(said.append)], 0
    for step in steps:
        i = (step - 7) % 2
        begin = (source, steps[i::2]) if step < 9 else ()
        made = makers[i].take(0, {}, *begin)
        assert made.arrays["sample"].tolist() == source.positions(*source.place(step)).sample.tolist()
        most = max(most, held_bytes(node.cache))
    for maker in makers:
        maker.end(0)
    assert most <= limit
    assert fetched_when_asked_for(downloads) == []


def test_an_actor_for_an_evaluation_fetches_its_split_first(
    dataset: Dataset, downloads: list[tuple[str, str]], make_recipe: Callable[..., Any]
) -> None:
    maker = Maker(pytest.fail)
    made = maker.take(0, {}, BatchSource(make_recipe("image"), dataset, "val"), range(1))
    assert made.samples == 8
    assert all(name.startswith(("val/", "dataset")) or "/" not in name for name, _ in downloads)
    maker.end(0)
