"""What the feeds of pictures with masks and with boxes have in common, as they are measured against loops by hand."""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.feed_peers import BATCH
from benchmarks.pairs import in_turns, quotients
from pipeline.decode.image import encode_jpeg
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import new_arrays
from pipeline.recipe import check
from pipeline.shards.dataset import open_dataset
from pipeline.shards.reader import ShardReader
from pipeline.shards.writer import StoredSample, write_dataset, write_shard

SAMPLES = 256


def photographs(rng: np.random.Generator, width: int, height: int) -> Iterator[np.ndarray]:
    """Yield parts of two photographs, uint8 [H, W, 3], as the generator draws them."""
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    for i in range(SAMPLES):
        photo = photos[i % 2]
        y, x = rng.integers(photo.shape[0] - height + 1), rng.integers(photo.shape[1] - width + 1)
        yield np.ascontiguousarray(photo[y : y + height, x : x + width])


def sample(pixels: np.ndarray, key: int, members: dict[str, bytes], **more: Any) -> StoredSample:
    """Make what is stored of a picture and what rides with it."""
    height, width = pixels.shape[:2]
    found = StoredSample("jpg", encode_jpeg(pixels, 90), (), (), f"{key}.jpg", "0" * 64, width, height, 1, 0.0, 0.0)
    return replace(found, members=members, **more)


def write(folder: Path, classes: tuple[str, ...], samples: list[StoredSample]) -> None:
    """Write a data set of one shard."""
    write_dataset(folder, "image", list(classes), {"train": [write_shard(folder, "train", 0, 0, samples)]}, True)


def files(folder: Path, member: str) -> list[tuple[bytes, bytes]]:
    """Read all pictures and their members into memory, encoded."""
    reader = ShardReader(folder, "train", frozenset({member}))
    return [(bytes(raw.data), bytes(raw.member(member))) for raw in (reader.read(0, i) for i in range(SAMPLES))]


def feed(folder: Path, crop: int, **sections: Mapping[str, Any]) -> Callable[[], None]:
    """Return what makes a batch as a feed's worker does, of random crops that are mirrored half of the time."""
    values = {
        "name": "feed",
        "augment": {"train": [{"RandomCrop": {"height": crop, "width": crop}}, {"HorizontalFlip": {}}], "eval": []},
        "optimizer": {"kind": "sgd"},
        "train": {"duration": "1ep", "batch_size": BATCH},
        **sections,
    }
    source = BatchSource(check(values, "the benchmark"), open_dataset(folder), "train", training=True)
    maker, arrays, step = BatchMaker(source), new_arrays(source.layout()), iter(range(1 << 30))

    def batch() -> None:
        maker.make(*source.place(next(step)), arrays)

    return batch


def rate(batch: Callable[[], None], seconds: float = 2.0) -> float:
    """Measure samples a second of processor time."""
    began, samples = time.process_time(), 0
    while (took := time.process_time() - began) < seconds:
        batch()
        samples += BATCH
    return samples / took


def compare(
    make_data: Callable[[Path], None],
    ours: Callable[[Path], Callable[[], None]],
    by_hand: Callable[[Path], Callable[[], None]],
) -> None:
    """Measure both in turns, as the command line says, and print what comes of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=9)
    asked = parser.parse_args()
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as name:
        make_data(Path(name))
        batches = {"ours": ours(Path(name)), "by hand": by_hand(Path(name))}
        rates = in_turns({way: lambda batch=batch: rate(batch) for way, batch in batches.items()}, asked.turns)
    for way, found in rates.items():
        print(f"{way:10}{sorted(found)[len(found) // 2]:8.0f} samples a CPU second")
    print(f"ours over by hand: {quotients(rates['ours'], rates['by hand'])}; wanted 0.85")
