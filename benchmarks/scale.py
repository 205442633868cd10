"""What the one process that all others meet in costs at the size of a large cluster; what they work at is left out.

    OMP_NUM_THREADS=1 python -m benchmarks.scale [files] [stages] [ranks] [tracker]

Files: 20,000 JPEGs of 32 px, really ingested and stored; files/s of each stage, its processes' start included.
Stages: 1,280,000 samples, as many as ImageNet has, through ingest (20,000 tasks of 64 headers) and shard (2,000 tasks
of 640 samples) on real Ray. The tasks come back at once, with rows as they would be, so that the time is that of the
stage itself and of Ray. Ranks: each of 256 takes its part of batches of 10^9 samples; and one process asks an actor for
news as often as Ray Train's controller asks 256 workers. Tracker: 256 senders, each with points of its own, from four
processes to one tracker with MLflow in SQLite. Times are of the clock and of the processor; memory is resident, above
what the process held before.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import ray
import yaml

from benchmarks.shard_throughput import a_recipe
from benchmarks.tracking_overhead import NAMES, ROOT, _Silent
from pipeline.cluster.tracker import send, start_tracker, wait_until_sent
from pipeline.decode.image import encode_jpeg
from pipeline.graph.plan import Context
from pipeline.graph.progress import Reporter
from pipeline.recipe import plain
from pipeline.shards.order import Order
from pipeline.shards.writer import ShardInfo, shard_name
from pipeline.sources.listing import Candidate, Listing
from pipeline.sources.rows import BadRow, Row
from pipeline.stages import ingest, shard
from pipeline.stages.json_lines import write_rows
from pipeline.store import Artifact
from pipeline.tracking.address import resolve

FILES = 20_000
SAMPLES, SHARD = 1_280_000, 640
SPLITS = "train", "val"
CLASSES = [f"class-{number:03d}" for number in range(1000)]
RANKS, STEPS = 256, 20
SENDERS, SENDING_PROCESSES, POINTS = 256, 4, 40
MIB = 2**20


@contextmanager
def measured(what: str, unit: str, number: int, process: psutil.Process | None = None) -> Iterator[None]:
    """Print what happens inside: seconds by the clock, of the process' processors, for each of `number`, and memory."""
    process = process or psutil.Process()
    peak_reset(process)
    held, used = process.memory_info().rss, sum(process.cpu_times()[:2])
    began = time.perf_counter()
    yield
    clock, processor = time.perf_counter() - began, sum(process.cpu_times()[:2]) - used
    print(
        f"{what}: {clock:.1f} s, of the processor {processor:.1f} s ({processor / number * 1e3:.3f} ms a {unit}), "
        f"{(peak(process) - held) / MIB:.0f} MiB",
        flush=True,
    )


def peak_reset(process: psutil.Process) -> None:
    """Forget the kernel's record of a process's peak (proc(5): 5 to clear_refs)."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def peak(process: psutil.Process) -> int:
    """Bytes that a process held at most."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def heads(modality: str, timeout_s: float, part: Sequence[Candidate], *_: Any) -> tuple[list[Row], list[BadRow]]:
    """In the place of `probe_chunk`: rows, and no file is opened."""
    return [
        {
            "path": one.path,
            "key": one.key,
            "classes": one.labels,
            "split": one.split,
            "width": 500,
            "height": 375,
            "frames": 1,
            "fps": 0.0,
            "duration_s": 0.0,
            "bytes": 110_000,
        }
        for one in part
    ], []


def made(
    parts: Any, source: Any, split: str, number: int, rows: list[Row], classes: list[str], *_: Any
) -> tuple[str, ShardInfo, list[BadRow]]:
    """In the place of `make_shard`: what is known of a shard, and none is written."""
    counts = np.bincount([row["label"] for row in rows], minlength=len(classes))
    return (
        split,
        ShardInfo(shard_name(split, number), len(rows), 10**8, "0" * 64, "0" * 64, class_counts=tuple(counts.tolist())),
        [],
    )


def files(folder: Path) -> None:
    """Print how many tiny files a second both stages take, in a run of its own."""
    rng = np.random.default_rng(0)
    drawn = [encode_jpeg(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8), 90) for _ in range(100)]
    for name in CLASSES[:10]:
        (folder / "data" / name).mkdir(parents=True)
    for i in range(FILES):
        (folder / "data" / CLASSES[i % 10] / f"{i:05d}.jpg").write_bytes(drawn[i // 10 % 100])
    values = plain(a_recipe("image", 1000))
    values["data"]["source"]["path"] = str(folder / "data")
    values["train"]["batch_size"] = 32
    values["augment"] = {split: [{"CenterCrop": {"height": 32, "width": 32}}] for split in ("train", "eval")}
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**values, "store": str(folder / "runs")}))
    command = [sys.executable, "-m", "pipeline", "feed", str(folder / "recipe.yaml"), "--seconds", "0"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    for stage in ("ingest", "shard"):
        (manifest,) = (folder / "runs" / "artifacts" / stage).glob("*/manifest.json")
        took = json.loads(manifest.read_text())["duration_s"]
        print(f"{stage}: {FILES:,} files in {took:.1f} s, {FILES / took:,.0f} files/s", flush=True)


def stages(folder: Path) -> None:
    """Print what both stages take."""
    listed = [
        Candidate(
            f"train/{name}/{i:08d}.JPEG", f"/data/imagenet/train/{name}/{i:08d}.JPEG", (name,), SPLITS[i % 27 == 26]
        )
        for i in range(SAMPLES)
        for name in (CLASSES[i % 1000],)
    ]
    recipe = a_recipe("image", SHARD)
    context = in_folder(folder / "ingest", recipe, {})
    listing = Listing(listed, Counter(), False, "data.source.path", "files", "name it")
    with measured(f"ingest, {SAMPLES:,} samples, {SAMPLES // ingest.CHUNK:,} tasks", "task", SAMPLES // ingest.CHUNK):
        rows, _ = ingest._probe(context, listing)
    for row in rows:
        row["label"] = int(row.pop("classes")[0][-3:])
    out = context.out
    write_rows(out / "samples.jsonl", rows)
    write_rows(out / "quarantine.jsonl", [])
    (out / "classes.json").write_text(json.dumps(CLASSES))
    del rows, listing, listed
    ingested = Artifact(out, {"facts": {"samples": SAMPLES, "quarantined": 0}})
    with measured(f"shard, {SAMPLES:,} samples, {SAMPLES // SHARD:,} tasks", "task", SAMPLES // SHARD):
        shard.run(in_folder(folder / "shard", recipe, {"ingest": ingested}))


def in_folder(folder: Path, recipe: Any, inputs: dict[str, Artifact]) -> Context:
    """A stage's surroundings."""
    out, scratch = folder / "out", folder / "scratch"
    out.mkdir(parents=True)
    scratch.mkdir()
    return Context(recipe, inputs, out, scratch, "0" * 32, None, Reporter("scale"), folder, {})


def ranks() -> None:
    """Print what a batch costs all ranks of a large training, and its controller."""
    counts = np.full(100_000, 10_000)
    with measured(f"{STEPS} batches of 10^9 samples, a part for each of {RANKS} ranks", "part", STEPS * RANKS):
        for rank in range(RANKS):
            order = Order(counts, 16 * RANKS, 2048, seed=0, mix_group=8)  # as in a process of its own
            for k in range(STEPS):
                assert len(order.batch(7, k)[order.rank_slice(k, rank, RANKS)]) == 16
    asked: Any = ray.remote(num_cpus=0, max_concurrency=64)(Asked).remote()
    ray.get(asked.news.remote())
    with measured(f"{STEPS} times news of {RANKS} workers", "round", STEPS):
        for _ in range(STEPS):
            ray.get([asked.news.remote() for _ in range(RANKS)])


class Asked:
    """Answers as a worker of Ray Train does."""

    def news(self) -> dict[str, Any]:
        """Nothing new."""
        return {"running": True, "error": None, "training_report": None}


class Senders:
    """A process with as many senders as its share."""

    def send(self, tracker: Any, first: int, number: int) -> None:
        """Points of `number` makers; ends when the tracker keeps them."""
        sent = [
            send(tracker, 10 * step, {f"rank-{maker}/{name}": float(step) for name in NAMES}, f"rank-{maker}")
            for step in range(1, POINTS + 1)
            for maker in range(first, first + number)
        ]
        wait_until_sent(sent[-1])


def tracker(folder: Path) -> None:
    """Print what a tracker takes to keep the points of all senders, and to get them into MLflow."""
    store = folder / "store"
    (store / "run").mkdir(parents=True)
    one = start_tracker(resolve(None, store), a_recipe("image", SHARD), store, store / "run")
    ray.get(one.attach.remote(_Silent(), "key"))
    ray.get(one.flush.remote(60.0))
    process = psutil.Process(json.loads((store / "run" / "tracker.json").read_text())["pid"])
    senders = [ray.remote(num_cpus=0)(Senders).remote() for _ in range(SENDING_PROCESSES)]
    share, points = SENDERS // SENDING_PROCESSES, SENDERS * POINTS
    with measured(f"tracker, {points:,} points of 6 metrics from {SENDERS} senders, kept", "point", points, process):
        ray.get([sender.send.remote(one, share * number, share) for number, sender in enumerate(senders)])
        wait_until_sent(send(one, 10 * POINTS, {}))
    with measured("tracker, until MLflow has them", "point", points, process):
        ray.get(one.flush.remote(600.0))


def main(chosen: Sequence[str]) -> None:
    """Print a line each."""
    os.environ.update(RAY_AUTH_MODE="disabled", PYTHONPATH=str(ROOT))
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  Ray's own spelling
    ingest.probe_chunk, shard.make_shard = heads, made  # type: ignore[assignment]
    parts: dict[str, Callable[[Path], None]] = {"stages": stages, "ranks": lambda folder: ranks(), "tracker": tracker}
    chosen = chosen or ["files", *parts]
    with tempfile.TemporaryDirectory() as name:
        if "files" in chosen:
            files(Path(name))
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        for part, measure in parts.items():
            if part in chosen:
                measure(Path(name))
        ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])
