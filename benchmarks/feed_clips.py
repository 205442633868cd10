"""Clips out of stored videos: our decoding and the whole feed against bare decord, and against decord on the source.

    python -m benchmarks.feed_clips [--seconds 5] [--rounds 3] [--workers 2]

Wanted: 0.9 of bare decord on the stored file (times the cores, for the feed), 15x decord on the 720p source. A source
is ten seconds of H.264 at 1280 x 720 px, 25 frames a second, with x264's defaults; it is stored as the shard stage
stores it (short side 256 px, a key frame every 12). A clip has 16 frames: one drawn from each of 16 equal parts of the
video (`segments`), for which nearly every frame has to be decoded, or every second one from a drawn start (`dense`).
Then the same of videos of 48 frames, which `feed.cache` keeps: the feed as it is, and from the second epoch on.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import av
import cv2
import decord
import numpy as np
from sklearn.datasets import load_sample_images

from benchmarks.feed_images import processor_s
from pipeline.base.keyed import generator
from pipeline.decode import clips
from pipeline.decode.transcode import transcode
from pipeline.decode.video import decode_frames
from pipeline.feed.batch import BatchSource
from pipeline.feed.local import LocalFeed
from pipeline.recipe import check
from pipeline.shards.dataset import open_dataset
from pipeline.shards.writer import StoredSample, write_dataset, write_shard

VIDEOS, COPIES, FRAMES, SHORT, CLIP, STRIDE = 2, 32, 250, 48, 16, 2
Frames = Callable[[int, int], np.ndarray]
SAMPLINGS: dict[str, Frames] = {
    "segments": lambda i, of: clips.segments(of, CLIP, generator("clip", i)),
    "dense": lambda i, of: clips.dense(of, CLIP, STRIDE, generator("clip", i)),
}


def film(number: int, frames: int = FRAMES) -> bytes:
    """A walk over a photo, with noise as cameras have."""
    photo = cv2.resize(load_sample_images().images[number % 2], (1920, 1280), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(number)
    noise = rng.integers(-6, 7, (8, 720, 1280, 3))
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for t in range(frames):
            y, x = int(280 * (1 + np.sin(t / 40 + number))), int(320 * (1 + np.cos(t / 50)))
            frame = np.clip(photo[y : y + 720, x : x + 1280] + noise[t % 8], 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def write(folder: Path, stored: list[bytes], frames: int = FRAMES) -> None:
    """A dataset of the stored videos, each of them many times."""
    samples = [
        StoredSample("mp4", data, i % 2, "ab"[i % 2], f"{i}.mp4", "0" * 64, 456, 256, frames, 25.0, 10.0)
        for i, data in enumerate(stored * COPIES)
    ]
    write_dataset(folder, "video", ["a", "b"], {"train": [write_shard(folder, "train", 0, 0, samples)]})


def source(folder: Path, sampling: str, cache: str | None = None) -> BatchSource:
    """Training batches of 8 clips; `cache` as of `feed.cache`."""
    recipe = check(
        {
            "name": "feed",
            "task": {"kind": "video-classification"},
            "data": {"source": {"kind": "folder", "path": "/nowhere"}},
            "clip": {"frames": CLIP, "sampling": sampling, "stride": STRIDE},
            "model": {"kind": "tsm_resnet18"},
            "augment": {
                "train": [{"RandomCrop": {"height": 224, "width": 224}}, {"HorizontalFlip": {}}],
                "eval": [{"CenterCrop": {"height": 224, "width": 224}}],
            },
            "optimizer": {"kind": "sgd"},
            "train": {"duration": "1ep", "batch_size": 8},
            "feed": {"cache": cache},
        },
        "the benchmark",
    )
    return BatchSource(recipe, open_dataset(folder), "train", training=True)


def bare(data: bytes, frames: np.ndarray) -> np.ndarray:
    """decord and nothing else."""
    return decord.VideoReader(io.BytesIO(data), num_threads=1).get_batch(frames.tolist()).asnumpy()


def rates(
    decode: Callable[[bytes, np.ndarray], np.ndarray],
    videos: list[bytes],
    frames: Frames,
    seconds: float,
    of: int = FRAMES,
) -> tuple[float, float]:
    """Clips a second by the clock, and a second of processor time, on one core."""
    began_s, used_s, done = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began_s < seconds:
        decode(videos[done % len(videos)], frames(done, of))
        done += 1
    return done / (time.perf_counter() - began_s), done / (time.process_time() - used_s)


def feed_rates(made: BatchSource, workers: int, seconds: float) -> tuple[float, float]:
    """The same of the whole feed."""
    with closing(LocalFeed(made, range(made.steps * 1000), workers, 120.0)) as feed:
        taken = iter(feed)
        # What is made ahead while the workers start does not count, nor the epoch in which pixels are kept
        for _ in range(2 * workers + 1 + (made.steps if made.recipe.feed.cache else 0)):
            next(taken)
        began_s, used_s, done = time.perf_counter(), processor_s(), 0
        while time.perf_counter() - began_s < seconds:
            done += len(next(taken).arrays["sample"])
        return done / (time.perf_counter() - began_s), done / (processor_s() - used_s)


def main() -> None:
    """Measure in turns and print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    decord.bridge.set_bridge("native")
    cv2.setNumThreads(0)
    films = [film(number) for number in range(VIDEOS)]
    stored = [transcode(data, 256, 12, 20).data for data in films]
    sizes = [sum(map(len, videos)) / VIDEOS / 2**20 for videos in (films, stored)]
    print(f"a source has {sizes[0]:.1f} MiB, stored {sizes[1]:.2f} MiB")
    with tempfile.TemporaryDirectory(prefix="zoetrope-") as folder:
        write(Path(folder), stored)
        for sampling, frames in SAMPLINGS.items():
            made = source(Path(folder), sampling)
            found: dict[str, list[tuple[float, float]]] = {}
            for _ in range(asked.rounds):
                for name, decode, videos in (
                    ("decord, stored", bare, stored),
                    ("ours, stored", decode_frames, stored),
                    ("decord, 720p source", bare, films),
                ):
                    found.setdefault(name, []).append(rates(decode, videos, frames, asked.seconds))
                found.setdefault("the feed, cropped", []).append(feed_rates(made, asked.workers, asked.seconds))
            show(sampling, found, asked.workers)
    short = [transcode(film(number, SHORT), 256, 12, 20).data for number in range(VIDEOS)]
    with tempfile.TemporaryDirectory(prefix="zoetrope-") as folder:
        write(Path(folder), short, SHORT)
        for sampling, frames in SAMPLINGS.items():
            found = {}
            for _ in range(asked.rounds):
                for name, decode in (("decord, stored", bare), ("ours, stored", decode_frames)):
                    found.setdefault(name, []).append(rates(decode, short, frames, asked.seconds, SHORT))
                for name, cache in (("the feed, cropped", None), ("the feed, all kept", "2GiB")):
                    made = source(Path(folder), sampling, cache)
                    found.setdefault(name, []).append(feed_rates(made, asked.workers, asked.seconds))
            show(f"{sampling}, {SHORT} frames", found, asked.workers)


def show(sampling: str, found: dict[str, list[tuple[float, float]]], workers: int) -> None:
    """Medians of the rounds."""
    medians = {name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in found.items()}
    clock, processor = medians["decord, stored"]
    print(f"{sampling:22}{'clips/s':>9}{'of decord':>11}  |{'a CPU second':>13}{'of decord':>11}")
    for name, (by_clock, by_processor) in medians.items():
        cores = workers if name.startswith("the feed") else 1
        print(
            f"{name:22}{by_clock:9.1f}{by_clock / (clock * cores):11.3f}  |"
            f"{by_processor:13.1f}{by_processor / processor:11.3f}"
        )
    if theirs := medians.get("decord, 720p source"):
        ours = medians["ours, stored"]
        print(f"ours, stored over decord on the source: {ours[0] / theirs[0]:.1f}x by the clock, ", end="")
        print(f"{ours[1] / theirs[1]:.1f}x by processor time")


if __name__ == "__main__":
    main()
