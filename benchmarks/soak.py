"""A feed whose workers are killed at random, for minutes: do the batches stay the same?

    python -m benchmarks.soak [--seconds 300] [--workers 2] [--seed 0]

Every 0.3 to 3 s a worker gets SIGKILL, whatever it is at: starting, reading, decoding, or done. Each batch that arrives
is compared, byte for byte, with the one that `BatchMaker` makes in this process. Half of the time goes to images and
half to clips, both cropped, mirrored and changed by RandAugment, so that every sample draws much.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.keyed import generator
from pipeline.decode.image import encode_jpeg
from pipeline.decode.transcode import encode, transcode
from pipeline.feed.bad_samples import Bad
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.local import LocalFeed
from pipeline.feed.ring import new_arrays
from pipeline.recipe import check
from pipeline.shards.dataset import open_dataset
from pipeline.shards.writer import StoredSample, write_dataset, write_shard

SAMPLES = {"image": 300, "video": 60}
HEIGHT, WIDTH, FRAMES, FPS = 72, 96, 24, 12.0
OPTIONS: dict[str, dict[str, Any]] = {
    "image": {"model": {"kind": "resnet18"}},
    "video": {"model": {"kind": "tsm_resnet18"}, "clip": {"frames": 8}},
}
SHORTEST_S, LONGEST_S = 0.3, 3.0
"""From kill to kill."""


@dataclass
class Soaked:
    """What has happened."""

    batches: int = 0
    different: int = 0
    kills: int = 0
    in_a_sample: int = 0
    """Of the kills, those that hit a worker in the middle of a sample."""


def stored(modality: str, number: int) -> StoredSample:
    """A picture, or a clip of as many frames, of coarse noise of its own."""
    frames = FRAMES if modality == "video" else 1
    coarse = generator("soak", number).integers(0, 256, (frames, HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    pixels = coarse.repeat(8, axis=1).repeat(8, axis=2)
    data = encode_jpeg(pixels[0], 90) if modality == "image" else transcode(encode(pixels, FPS), HEIGHT, 12, 20).data
    extension, fps = ("jpg", 0.0) if modality == "image" else ("mp4", FPS)
    duration_s = frames / FPS if fps else 0.0
    sha256 = "0" * 64
    return StoredSample(
        extension, data, number % 2, "ab"[number % 2], f"{number}", sha256, WIDTH, HEIGHT, frames, fps, duration_s
    )


def made_source(folder: Path, modality: Any) -> BatchSource:
    """Training batches of 8 from two shards."""
    half = SAMPLES[modality] // 2
    shards = [
        write_shard(folder, "train", n, n * half, [stored(modality, n * half + i) for i in range(half)])
        for n in range(2)
    ]
    write_dataset(folder, modality, ["a", "b"], {"train": shards})
    values = {
        "name": "soak",
        "task": {"kind": f"{modality}-classification"},
        "data": {"source": {"kind": "folder", "path": "/nowhere"}},
        "augment": {
            "train": [{"RandomResizedCrop": {"size": [64, 64]}}, {"HorizontalFlip": {}}, {"RandAugment": {}}],
            "eval": [{"CenterCrop": {"height": 64, "width": 64}}],
        },
        "optimizer": {"kind": "sgd"},
        "train": {"duration": "1ep", "batch_size": 8},
        **OPTIONS[modality],
    }
    return BatchSource(check(values, "the benchmark"), open_dataset(folder), "train", training=True)


def kill_at_random(feed: LocalFeed, soaked: Soaked, draws: np.random.Generator, ended: threading.Event) -> None:
    """Until it has ended."""
    while not ended.wait(draws.uniform(SHORTEST_S, LONGEST_S)):
        worker = feed.workers[int(draws.integers(len(feed.workers)))]
        in_a_sample = feed.ring.cell(worker.number).at is not None
        with suppress(ProcessLookupError):  # it is being replaced
            os.kill(worker.process.pid, signal.SIGKILL)
            soaked.kills += 1
            soaked.in_a_sample += in_a_sample


def soak(source: BatchSource, seconds: float, workers: int, seed: int) -> tuple[Soaked, Bad]:
    """Take batches for so long; what has happened, and the samples that were put aside."""
    soaked, bad, ended = Soaked(), Bad(), threading.Event()
    maker, expected = BatchMaker(source), new_arrays(source.layout())
    with closing(LocalFeed(source, range(sys.maxsize), workers, 120.0, bad)) as feed:
        draws = generator("soak", source.dataset.modality, seed)
        killer = threading.Thread(target=kill_at_random, args=(feed, soaked, draws, ended))
        batches = iter(feed)
        batch = next(batches)  # how long the first start takes does not count
        until_s = time.monotonic() + seconds
        killer.start()
        try:
            while time.monotonic() < until_s:
                count, samples = maker.make(*source.place(soaked.batches), expected)
                same = batch.samples == samples and batch.arrays.keys() == expected.keys()
                for name, array in expected.items():
                    same &= batch.arrays[name].tobytes() == array[:count].tobytes()
                soaked.batches += 1
                soaked.different += not same
                batch = next(batches)
        finally:
            ended.set()
            killer.join()
    return soaked, bad


def main() -> None:
    """Print a line for each; exit code 1 when any batch was different or a sample was put aside."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    wrong = 0
    for modality in SAMPLES:
        with tempfile.TemporaryDirectory(prefix="zoetrope-") as folder:
            source = made_source(Path(folder), modality)
            soaked, bad = soak(source, asked.seconds / len(SAMPLES), asked.workers, asked.seed)
        wrong += soaked.different + len(bad)
        print(
            f"{modality}: {soaked.batches:,} batches in {soaked.batches / source.steps:.1f} epochs, "
            f"{soaked.kills} kills ({soaked.in_a_sample} in a sample), {soaked.different} batches different, "
            f"{len(bad)} samples put aside {bad or ''}",
            flush=True,
        )
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
