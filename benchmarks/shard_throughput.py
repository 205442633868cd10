"""The shard stage on all cores against one process that a user would write: how many times as quick is it?

    python -m benchmarks.shard_throughput [--images FOLDER] [--videos FOLDER] [--turns 5]

Images: the peer is a `webdataset.ShardWriter` loop that reads, decodes and hashes (sha256) every file; it decodes with
Pillow, which notices files that are cut off, or with cv2, which does not and is quicker. Wanted on two cores: 1.5.
The loop that copies only neither decodes nor hashes. Nobody resizes images. Videos: the peer decodes, scales and
encodes with PyAV and the stage's x264 settings, with one thread, or with as many as FFmpeg likes.

The stage runs as in a run, its tasks on Ray; Ray and its workers are there before the clock starts, and the first turn
is not counted. By the clock, what else the machine does counts too, and most for the stage, which wants all cores; so
the ratio of processor times is printed beside: what the loop needs over what the stage needs, on however many cores.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import webdataset
from PIL import Image
from rich.console import Console

from benchmarks.augment import picture
from benchmarks.pairs import in_turns, quotients
from pipeline.decode.image import encode_jpeg
from pipeline.decode.transcode import encode
from pipeline.graph.plan import Context
from pipeline.graph.progress import Reporter
from pipeline.recipe import Recipe, check
from pipeline.stages import shard
from pipeline.stages.json_lines import write_rows
from pipeline.store import Artifact
from tests.processes import family

DISTINCT = 64
CLASSES = 2
SUFFIXES = {"image": (".jpg", ".jpeg"), "video": (".mp4",)}


def draw_images(folder: Path, files: int) -> None:
    """JPEGs of 500 x 375 px, quality 90, about 75 kB each; 64 different ones."""
    drawn = [encode_jpeg(picture(375, 500, seed), 90) for seed in range(min(files, DISTINCT))]
    for number, data in enumerate(islice(cycle(drawn), files)):
        (folder / f"{number:06d}.jpg").write_bytes(data)


def draw_videos(folder: Path, files: int, frames: int = 50) -> None:
    """Videos of 1280 x 720 px, H.264; four different ones."""
    for number in range(files):
        if number < 4:
            still = picture(720, 1280, number)
            data = [encode(np.stack([np.roll(still, 6 * t, 1) for t in range(frames)]), 25, gop=250, crf=23)]
        (folder / f"{number:06d}.mp4").write_bytes(data[0])


def a_recipe(modality: str, samples: int, resize: bool = False) -> Recipe:
    """Shards of `samples`; images are stored as they are."""
    values = {
        "name": "benchmark",
        "task": {"kind": f"{modality}-classification"},
        "data": {"source": {"kind": "folder", "path": "unused"}},
        "shard": {"samples": samples, "image": {"resize": resize}},
        "model": {"kind": "resnet18" if modality == "image" else "tsm_resnet18"},
        "augment": {"train": [], "eval": []},
        "optimizer": {"kind": "sgd"},
        "train": {"duration": "1ep", "batch_size": 1},
    }
    return check(values, "the benchmark's recipe")


def listed(folder: Path, modality: str) -> list[Path]:
    """The files of a folder, in order of their names."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES[modality])


def ingested(folder: Path, files: Sequence[Path]) -> Artifact:
    """What the ingest stage would hand on: every fifth file is of the validation split, labels take turns."""
    folder.mkdir()
    rows = [
        {"path": str(path), "key": path.name, "split": "train" if number % 5 else "val", "label": number % CLASSES}
        for number, path in enumerate(files)
    ]
    write_rows(folder / "samples.jsonl", rows)
    write_rows(folder / "quarantine.jsonl", [])
    (folder / "classes.json").write_text(json.dumps([f"class-{number}" for number in range(CLASSES)]))
    return Artifact(folder, {"facts": {"samples": len(rows), "quarantined": 0}})


def run_stage(recipe: Recipe, source: Artifact, folder: Path) -> dict[str, Any]:
    """The stage, its dataset in `folder / "out"`; its facts."""
    out, scratch = folder / "out", folder / "scratch"
    out.mkdir()
    scratch.mkdir()
    return shard.run(Context(recipe, {"ingest": source}, out, scratch, "0" * 32, None, Reporter("shard"), folder, {}))


def decode_by_pillow(data: bytes) -> None:
    """Raises for a file that is cut off."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()


def decode_by_cv2(data: bytes) -> None:
    """Raises for a file that is no image."""
    if cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is None:
        raise ValueError("no image")


def run_loop(files: Sequence[Path], samples: int, decode: Callable[[bytes], None] | None, folder: Path) -> None:
    """The peer: shards of `samples` in `folder`; without `decode` nothing is decoded or hashed."""
    with webdataset.ShardWriter(f"{folder}/shard-%06d.tar", maxcount=samples, verbose=0) as writer:
        for number, path in enumerate(files):
            data = path.read_bytes()
            described = {"source": path.name, "label": number % CLASSES}
            if decode:
                decode(data)
                described["sha256"] = hashlib.sha256(data).hexdigest()
            writer.write({"__key__": f"{number:09d}", "jpg": data, "cls": number % CLASSES, "json": described})


def transcode_loop(files: Sequence[Path], recipe: Recipe, threads: int, folder: Path) -> None:
    """The peer for videos: decode, scale and encode each; `threads` 0 leaves their number to FFmpeg."""
    video = recipe.shard.video
    options = {"crf": str(video.crf), "g": str(video.gop), "flags": "+cgop", "preset": "veryfast", "bf": "0"}
    options |= {"tune": "fastdecode", "x264-params": "cpu-independent=1"}
    for path in files:
        target = folder / path.name
        with av.open(str(path)) as source, av.open(str(target), "w", options={"movflags": "+faststart"}) as made:
            read = source.streams.video[0]
            read.codec_context.thread_count = threads
            scale = video.short_side / min(read.width, read.height)
            written = made.add_stream("libx264", rate=read.average_rate, options=options)
            written.width, written.height = (round(side * scale / 2) * 2 for side in (read.width, read.height))
            written.pix_fmt = "yuv420p"
            written.codec_context.thread_count = threads
            for frame in source.decode(read):
                small = frame.reformat(written.width, written.height, "yuv420p", interpolation="BICUBIC")
                small.pict_type = 0
                made.mux(written.encode(small))
            made.mux(written.encode())


@dataclass(frozen=True)
class Cost:
    """What a way took: seconds of the clock, and of processors, Ray's processes included."""

    clock_s: float
    processor_s: float


class Timed:
    """A way to do the work, each time in a fresh folder that is removed when the clock has stopped."""

    def __init__(self, work: Callable[[Path], Any], below: Path) -> None:
        self.work, self.below, self.numbers = work, below, count()

    def __call__(self) -> Cost:
        """Do it once."""
        folder = self.below / f"{id(self)}-{next(self.numbers)}"
        folder.mkdir()
        os.sync()  # what the one before left to be written is not ours
        used_s, began_s = _processor_s(), time.perf_counter()
        self.work(folder)
        cost = Cost(time.perf_counter() - began_s, _processor_s() - used_s)
        shutil.rmtree(folder)
        return cost


def _processor_s() -> float:
    """Processor time of this process and all below it."""
    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *family(me.pid))]
    return sum(one.user + one.system for one in times)


def report(what: str, amounts: dict[str, float], costs: dict[str, list[Cost]]) -> None:
    """A line a way, with its rates and how many times as much it takes as the stage."""
    print(f"\n{what}; load {os.getloadavg()[0]:.1f}, {len(os.sched_getaffinity(0))} cores")
    print(f"{'':24}{''.join(f'{unit}/s'.rjust(10) for unit in amounts)}   over the stage: clock, processors")
    stage = costs["stage"]
    for name, turns in costs.items():
        middle_s = statistics.median(turn.clock_s for turn in turns)
        rates = "".join(f"{amount / middle_s:10.0f}" for amount in amounts.values())
        clock = quotients([turn.clock_s for turn in turns], [turn.clock_s for turn in stage])
        processors = quotients([turn.processor_s for turn in turns], [turn.processor_s for turn in stage])
        print(f"{name:24}{rates}   {clock}, {processors}", flush=True)


def bench_images(files: Sequence[Path], folder: Path, turns: int) -> None:
    """Eight shards or more, of 1000 samples at most."""
    samples = max(1, min(1000, len(files) // 8))
    recipe, source = a_recipe("image", samples), ingested(folder / "ingest", files)
    ways: dict[str, Callable[[Path], Any]] = {
        "stage": partial(run_stage, recipe, source),
        "loop with Pillow": partial(run_loop, files, samples, decode_by_pillow),
        "loop with cv2": partial(run_loop, files, samples, decode_by_cv2),
        "loop that copies only": partial(run_loop, files, samples, None),
    }
    costs = in_turns({name: Timed(work, folder) for name, work in ways.items()}, turns)
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    report(f"{len(files)} images, {megabytes:.0f} MB", {"files": len(files), "MB": megabytes}, costs)


def bench_videos(files: Sequence[Path], folder: Path, turns: int) -> None:
    """Shards of two videos."""
    recipe, source = a_recipe("video", 2), ingested(folder / "ingest", files)
    ways: dict[str, Callable[[Path], Any]] = {
        "stage": partial(run_stage, recipe, source),
        "PyAV, one thread": partial(transcode_loop, files, recipe, 1),
        "PyAV, FFmpeg's threads": partial(transcode_loop, files, recipe, 0),
    }
    costs = in_turns({name: Timed(work, folder) for name, work in ways.items()}, turns)
    frames = 0
    for path in files:
        with av.open(str(path)) as container:
            frames += container.streams.video[0].frames
    report(f"{len(files)} videos", {"frames": frames}, costs)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="a folder of JPEGs; drawn when it is not given")
    parser.add_argument("--videos", type=Path, help="a folder of MP4s; drawn when it is not given")
    parser.add_argument("--files", type=int, default=4000, help="images to draw")
    parser.add_argument("--clips", type=int, default=20, help="videos to draw")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    # Ray's workers are polite (nice 15): where a machine does other work too, the stage would get what that leaves.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  Ray's own spelling
    from pipeline.verbs.driver import ray_cluster

    with tempfile.TemporaryDirectory() as name, ray_cluster(a_recipe("image", 1), Console()):
        folder = Path(name)
        for modality, given, number, draw, bench in (
            ("image", arguments.images, arguments.files, draw_images, bench_images),
            ("video", arguments.videos, arguments.clips, draw_videos, bench_videos),
        ):
            work, drawn = folder / modality, folder / f"drawn-{modality}"
            work.mkdir()
            drawn.mkdir()
            if given is None:
                draw(drawn, number)
            bench(listed(given or drawn, modality), work, arguments.turns)


if __name__ == "__main__":
    main()
