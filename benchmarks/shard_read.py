"""What it costs to get at one stored sample, undecoded: ours against tarfile and webdataset on the same tars.

    python -m benchmarks.shard_read [samples a shard]

Wanted: 10 microseconds a sample in random order. `tarfile` has read all headers before the clock starts, and then looks
a member up by its name; `webdataset` reads from front to back, as it cannot do otherwise, and returns all members of a
sample. Pages are in the page cache, so it is the container that is measured and not the disk.
"""

import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.pairs import compare_time
from pipeline.shards.dataset import open_dataset
from pipeline.shards.reader import ShardReader
from pipeline.shards.writer import StoredSample, write_dataset, write_shard

SHARDS = 8
DATA_BYTES = 20_000
TURNS = 9


def samples(count: int) -> Iterator[StoredSample]:
    """Samples of DATA_BYTES of noise: nothing here decodes them."""
    rng = np.random.default_rng(0)
    for i in range(count):
        yield StoredSample("jpg", rng.bytes(DATA_BYTES), i % 10, str(i % 10), f"{i}", "0" * 64, 32, 32, 1, 0.0, 0.0)


def main() -> None:
    """Print microseconds a sample and the ratios."""
    import webdataset

    each = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        shards = [write_shard(folder, "train", n, n * each, samples(each)) for n in range(SHARDS)]
        write_dataset(folder, "image", [str(i) for i in range(10)], {"train": shards})
        reader = ShardReader(open_dataset(folder).files, "train")
        tars = [folder / shard.name for shard in shards]
        opened = [stack.enter_context(tarfile.open(path)) for path in tars]
        order = np.random.default_rng(1).permutation(SHARDS * each)
        places = [(int(at) // each, int(at) % each) for at in order]
        keys = {place: reader.read(*place).key for place in places}
        names = {place: f"{key}.jpg" for place, key in keys.items()}
        for tar in opened:
            tar.getmembers()

        def ours() -> None:
            for place in places:
                reader.read(*place)

        def by_name() -> None:
            for place in places[: len(places) // 50]:
                opened[place[0]].extractfile(names[place]).read()  # type: ignore[union-attr]  # a file, so not None

        def in_order() -> None:
            for _ in webdataset.WebDataset([str(path) for path in tars], shardshuffle=False):
                pass

        for peer, work, share in (("tarfile", by_name, 50), ("webdataset", in_order, 1)):
            found = compare_time(ours, work, TURNS)
            each_us = 1e6 / len(places)
            print(
                f"{peer}: ours {found.ours * each_us:.2f} us a sample, {peer} {found.peer * share * each_us:.2f}, "
                f"ratio {found.ratio * share:.1f} ({found.low * share:.1f} to {found.high * share:.1f})"
            )


if __name__ == "__main__":
    main()
