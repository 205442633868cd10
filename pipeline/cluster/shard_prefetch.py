"""The shards of a training on this node: all at once where its cache can hold them, else ahead of the order."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import ZoetropeError
from pipeline.feed.batch import BatchSource
from pipeline.feed.local import OWED
from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset
from pipeline.shards.index import index_path
from pipeline.shards.prefetch import Ahead, Run, most_bytes, shard_runs
from pipeline.store.cache import cache_root
from pipeline.store.eviction import LIMIT, limit_bytes
from pipeline.training.distributed import Process
from pipeline.training.loop import LOG_EVERY_STEPS, Plan

SHARE = 0.9
"""Of the cache that training counts on; the rest is for indices, weights and whatever else is fetched."""


@contextmanager
def shards_ahead(
    recipe: Recipe,
    dataset: Dataset,
    process: Process,
    local_world: int,
    start: int,
    say: Callable[[str], None],
    actors: int = 1,
) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the steps done, every `LOG_EVERY_STEPS`; it waits for the shards that come next.

    local_world: training processes (or actors of their feeds) on this node, which share its cache
    actors:      that share the batches of a training process, by turns
    ZoetropeError when the validation split leaves no room for training.
    """
    needed = {name: _fetched_bytes(dataset, name) for name in ("train", "val")}
    room = int(SHARE * limit_bytes(cache_root())) if needed["train"] else 0
    if sum(needed.values()) <= room:
        # Not shard by shard, while the first batches wait with their time limit.
        dataset.fetch("train", "val")
        yield lambda step: None
        return
    if not needed["train"]:
        dataset.fetch("val")
        yield lambda step: None
        return
    budget = (room - needed["val"]) // local_world
    if budget <= 0:
        raise ZoetropeError(
            f"the cache {cache_root()} of this node may hold {limit_bytes(cache_root()):,} bytes, and the validation "
            f"split alone takes {needed['val']:,}. Raise {LIMIT} on every node, or make the cache's disk larger."
        )
    dataset.fetch("val")
    source = BatchSource(recipe, dataset, "train", process.rank, process.world, training=True)
    shards = dataset.split("train").shards
    total = Plan.of(recipe, source.steps).total

    def runs(epoch: int) -> list[Run]:
        first = max(start, epoch * source.steps)
        steps = range(first, min(total, (epoch + 1) * source.steps))
        read = [_shards_of(source, step) for step in steps]
        # A shard that lies across two lanes is read at both ends of an epoch: kept in between where there is room.
        whole = shard_runs(read, first, gap=len(read))
        if most_bytes(whole, shards) <= budget:
            return whole
        # A batch takes at least one sample of a lane, so a window of one lasts at most so many steps.
        found = shard_runs(read, first, gap=2 * recipe.train.shuffle_window)
        if epoch == start // source.steps and (most := most_bytes(found, shards)) > budget:
            say(
                f"the cache of a node holds {budget:,} bytes of training shards, and {most:,} are read by turns: some "
                f"are fetched several times an epoch. Raise {LIMIT}, or lower train.shuffle_window or shard.samples."
            )
        return found

    epochs = range(start // source.steps, -(-total // source.steps))
    margin = LOG_EVERY_STEPS + actors * (OWED * recipe.feed.workers + 1)
    keep = [
        name for shard in dataset.split("val").shards for name in (shard.name, index_path(Path(shard.name)).as_posix())
    ]
    ahead = Ahead(dataset.files, shards, runs, epochs, budget, margin, keep)
    try:
        ahead.at(start)
        yield ahead.at
    finally:
        ahead.close()


def _shards_of(source: BatchSource, step: int) -> NDArray[np.int64]:
    """Return the shards that this rank reads at a step."""
    batch = source.positions(*source.place(step))
    part = batch[source.cut(batch)]
    return (part if len(part) else batch[:1]).shard


def _fetched_bytes(dataset: Dataset, split: str) -> int:
    shards = dataset.split(split).shards
    return sum(shard.bytes for shard in shards if dataset.files.is_fetched(shard.name))
