"""What it costs to reach any batch of any epoch, against orders that hold the whole epoch; and to open an index.

    pip download --no-deps mosaicml-streaming
    python -m benchmarks.order_scale [mosaicml_streaming-*.whl]

No data: shards of 10,000 samples are simulated, 10^9 samples in 100,000 shards at most. The peers are what MosaicML's
Streaming makes once an epoch (`py1s`, from its wheel; each node makes it for all) and numpy's permutation. Times are of
the processor; memory is the peak of what Python and numpy allocate.
"""

import importlib.util
import json
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from copy import copy
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from pipeline.shards.dataset import CONTENTS, Contents, Split, open_dataset
from pipeline.shards.index import ShardIndex, read_index, write_index
from pipeline.shards.mixture import Mixture
from pipeline.shards.order import Order
from pipeline.shards.sampling import Sampled, samples_per_class
from pipeline.shards.shard import Shard

SHARD, BATCH, WINDOW = 10_000, 256, 2048
PEERS_UP_TO = 10**8  # 8 bytes a sample, twice
FEW = 20


def cost(call: Callable[[], Any]) -> tuple[float, float]:
    """Milliseconds, then peak MB in a second run, which is slower for being traced."""
    start = process_time()
    call()
    took = (process_time() - start) * 1e3
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return took, peak


def py1s(wheel: str) -> Callable[..., Any]:
    """`get_shuffle_py1s` alone: its module needs numpy only, the package many others."""
    with tempfile.TemporaryDirectory() as folder:
        path = ZipFile(wheel).extract("streaming/base/shuffle/py1s.py", folder)
        spec = importlib.util.spec_from_file_location("py1s", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    shuffle: Callable[..., Any] = module.get_shuffle_py1s
    return shuffle


def first_batch(counts: NDArray[np.int64], epoch: int, k: int) -> None:
    """With a new object, so nothing is kept from before; it checks its counts too."""
    Order(counts, BATCH, WINDOW, seed=0, mix_group=8).batch(epoch, k)


def orders(wheel: str | None) -> None:
    """Print a line an order and size."""
    rng = np.random.default_rng(0)
    for samples in (10**7, 10**8, 10**9):
        counts = np.full(samples // SHARD, SHARD)
        order = Order(counts, BATCH, WINDOW, seed=0, mix_group=8)
        places = [(int(rng.integers(1000)), int(rng.integers(order.steps_per_epoch))) for _ in range(FEW)]
        firsts = [cost(partial(first_batch, counts, *place)) for place in places]
        ours, peak = median(ms for ms, _ in firsts), max(mb for _, mb in firsts)
        start, steps = process_time(), min(2000, order.steps_per_epoch)
        for k in range(steps):
            order.batch(0, k)
        each = (process_time() - start) * 1e3 / steps
        print(f"{samples:,} samples, {len(counts):,} shards")
        worst = max(ms for ms, _ in firsts)
        print(f"  ours: first batch {ours:.1f} ms (worst of {FEW} {worst:.1f}), then {each:.2f} ms, peak {peak:.1f} MB")
        if samples > PEERS_UP_TO:
            continue
        peers = {"numpy's permutation": partial(np.random.default_rng(0).permutation, samples)}
        if wheel:
            peers["Streaming's py1s"] = partial(py1s(wheel), counts, 64, 0, 0)
        for name, call in peers.items():
            took, needed = cost(call)
            print(f"  {name}: {took:,.0f} ms ({took / ours:,.0f} x), peak {needed:,.0f} MB ({needed / peak:,.0f} x)")


def sampling() -> None:
    """Print what sampling by class and mixtures cost beyond that."""
    samples, shard = 10**7, 1000
    labels = np.minimum(np.random.default_rng(0).zipf(1.3, samples) - 1, 999).astype(np.int32)
    order = Order(np.full(samples // shard, shard), BATCH, WINDOW, seed=0)
    per_class = samples_per_class(samples, np.bincount(labels, minlength=1000).tolist(), None)
    took, peak = cost(lambda: Sampled(order, labels, per_class).batch(7, 5))
    balanced = Sampled(order, labels, per_class)
    balanced.batch(7, 5)
    following, _ = cost(lambda: balanced.batch(8, 5))
    held = (peak * 1e6 + labels.nbytes) / samples
    print(f"balanced, {samples:,} samples, {len(order.counts):,} shards, 1,000 classes: first batch {took:.0f} ms,")
    print(f"  of the next epoch {following:.0f} ms, peak {held:.1f} bytes a sample with the labels")
    sources = np.repeat([0, 1, 2], [50_000, 30_000, 20_000])
    mixture = Mixture(Order(np.full(100_000, SHARD), BATCH, WINDOW, seed=0), sources, (5, 3, 2), 10**9)
    took, peak = cost(lambda: copy(mixture).batch(3, 10**6))
    start = process_time()
    for k in range(1000):
        mixture.batch(3, 10**6 + k)
    each = process_time() - start
    print(f"mixture of 3 sources, 10^9 samples: first batch {took:.1f} ms, then {each:.2f} ms, peak {peak:.1f} MB")


def index(folder: Path) -> None:
    """Open `dataset.json` of 100,000 shards, and read as many index files as tell what all of them would cost."""
    shards = tuple(Shard(f"train/shard-{i:06d}.tar", SHARD, 10**9, "0" * 64, "0" * 64) for i in range(100_000))
    split = Split(SHARD * len(shards), (SHARD * len(shards), 0), shards)
    content = CONTENTS.dump_json(Contents(1, "image", ("a", "b"), {"train": split}), indent=1, exclude_none=True)
    (folder / "dataset.json").write_bytes(content)
    took, peak = cost(lambda: open_dataset(folder).split("train").counts)
    start = process_time()
    json.loads(content)
    plain = (process_time() - start) * 1e3
    print(f"dataset.json of 100,000 shards, {len(content) / 1e6:.0f} MB: opened in {took:.0f} ms, peak {peak:.0f} MB;")
    print(f"  json.loads alone takes {plain:.0f} ms ({took / plain:.1f} x)")
    column, path = np.full(SHARD, 10), folder / "shard-000000.index.json"
    keys, offsets = tuple(f"{i:09d}" for i in range(SHARD)), 512 + 1024 * np.arange(SHARD)[None]
    made = ShardIndex("shard-000000.tar", keys, ("jpg",), offsets, column[None], column, column, column, column)
    write_index(path, made, 10**9)
    each = median(cost(lambda: read_index(path, 10**9))[0] for _ in range(5))
    print(f"  an index file takes {each:.1f} ms, so 100,000 of them {each * 100:.0f} s ({each * 1e5 / took:,.0f} x)")


if __name__ == "__main__":
    orders(sys.argv[1] if len(sys.argv) > 1 else None)
    sampling()
    with tempfile.TemporaryDirectory() as name:
        index(Path(name))
