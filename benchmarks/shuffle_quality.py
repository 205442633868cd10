"""How well the order shuffles, against WebDataset's buffer of the same memory; 1 is a uniform permutation.

    python -m benchmarks.shuffle_quality

`unevenness` of class histograms (pipeline/shards/quality.py) of batches, of mixing groups of 8 neighbours and of
stretches of 32 batches, over one epoch, for sources that are sorted by class and for the hash order in which our own
shards are written. WebDataset shuffles its shards and then samples in a buffer of lanes x window, as many as our lanes'
windows hold, which is filled before the first one is given. It holds the samples' bytes, our windows 8 bytes a sample.
"""

import random
from collections.abc import Iterable
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from webdataset.filters import _shuffle

from pipeline.shards.order import Order
from pipeline.shards.quality import class_excess, unevenness

Int64 = NDArray[np.int64]

GROUP, STRETCH, SHARD = 8, 32, 1000
SOURCES = ((50_000, 10), (200_000, 100), (1_280_000, 1000))
WINDOWS = (256, 2048, 16384)


def ours(labels: Int64, batch_size: int, window: int, mix_group: int) -> Int64:
    """Labels of an epoch in its order."""
    order = Order(np.full(len(labels) // SHARD, SHARD), batch_size, window, seed=0, mix_group=mix_group)
    return np.concatenate([labels[order.batch(0, k).sample] for k in range(order.steps_per_epoch)])


def webdataset(labels: Int64, batch_size: int, window: int) -> Int64:
    """The same of `WebDataset(..., shardshuffle=True).shuffle(lanes x window)` in one process."""
    rng, size = random.Random(0), window * Order(np.array([1]), batch_size, window, 0).lanes
    shards = np.split(labels, len(labels) // SHARD)
    rng.shuffle(shards)
    stream: Iterable[int] = _shuffle(chain.from_iterable(shard.tolist() for shard in shards), size, size, rng)
    return np.fromiter(stream, np.int64, len(labels))


def scores(labels: Int64, epoch: Int64, batch_size: int) -> str:
    """Columns of the table: batches, groups, stretches."""
    sizes, columns = np.bincount(labels), []
    for m in (batch_size, GROUP, STRETCH * batch_size):
        parts = len(epoch) // m
        columns.append(f"{unevenness(epoch[: parts * m].reshape(parts, m), sizes):8.2f}" if parts else " " * 8)
    return "".join(columns)


def main() -> None:
    """Print a table a batch size."""
    for batch_size in (256, 1024):
        print(f"B = {batch_size}, shards of {SHARD}                       batch  groups  {STRETCH} batches")
        for samples, classes in SOURCES:
            by_class = np.repeat(np.arange(classes), samples // classes)
            hashed = np.random.default_rng(0).permutation(by_class)
            for window in WINDOWS:
                if window * 64 >= 2 * samples:  # the buffer would hold it all
                    continue
                excess = class_excess(np.split(by_class, samples // SHARD), (window,))[window]
                print(f"{samples:,} samples, {classes} classes, window {window}: excess {excess:.2f}")
                for stored, labels in (("sorted", by_class), ("hash order", hashed)):
                    epochs = {
                        "ours, groups lane after lane": ours(labels, batch_size, window, 1),
                        "ours": ours(labels, batch_size, window, GROUP),
                        "WebDataset": webdataset(labels, batch_size, window),
                    }
                    for name, epoch in epochs.items():
                        print(f"  {stored + ', ' + name:42}{scores(labels, epoch, batch_size)}", flush=True)


if __name__ == "__main__":
    main()
