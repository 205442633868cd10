"""The feed of pictures with masks against a loop by hand with cv2, on the same members in the same run.

    python -m benchmarks.feed_masks [--turns 9]

Both decode a JPEG and a PNG of class numbers, cut a random 224 px crop and mirror half of the pairs, on one core and in
one process, with files in the system's cache. Wanted: 0.85 of the loop's samples a second of processor time.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.feed_peers import BATCH, CROP
from benchmarks.pairs import in_turns, quotients
from pipeline.decode.image import encode_jpeg
from pipeline.decode.masks import encode_mask
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import new_arrays
from pipeline.recipe import check
from pipeline.shards.dataset import open_dataset
from pipeline.shards.reader import ShardReader
from pipeline.shards.writer import StoredSample, write_dataset, write_shard

SAMPLES, CLASSES = 256, tuple(f"class {i}" for i in range(11))
WIDTH, HEIGHT = 480, 360


def make_data(folder: Path) -> None:
    """Photographs of CamVid's size with masks whose outlines are as smooth as those that a person draws."""
    from sklearn.datasets import load_sample_images

    photos, rng, samples = load_sample_images().images, np.random.default_rng(0), []
    for i in range(SAMPLES):
        photo = photos[i % 2]
        y, x = rng.integers(photo.shape[0] - HEIGHT + 1), rng.integers(photo.shape[1] - WIDTH + 1)
        pixels = np.ascontiguousarray(photo[y : y + HEIGHT, x : x + WIDTH])
        smooth = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (0, 0), 8)
        mask = (smooth.astype(np.uint16) * len(CLASSES) // 256).astype(np.uint8)
        size = (WIDTH, HEIGHT, 1, 0.0, 0.0)
        sample = StoredSample("jpg", encode_jpeg(pixels, 90), (), (), f"{i}.jpg", "0" * 64, *size)
        samples.append(StoredSample(**{**vars(sample), "members": {"seg.png": encode_mask(mask)}}))
    write_dataset(folder, "image", list(CLASSES), {"train": [write_shard(folder, "train", 0, 0, samples)]}, True)


def ours(folder: Path) -> Callable[[], None]:
    """Make a batch as a feed's worker does."""
    values = {
        "name": "feed",
        "task": {"kind": "segmentation"},
        "data": {"source": {"kind": "images", "path": "/nowhere", "masks": "/nowhere", "classes": list(CLASSES)}},
        "model": {"kind": "unet_bn"},
        "augment": {"train": [{"RandomCrop": {"height": CROP, "width": CROP}}, {"HorizontalFlip": {}}], "eval": []},
        "optimizer": {"kind": "sgd"},
        "train": {"duration": "1ep", "batch_size": BATCH},
    }
    source = BatchSource(check(values, "the benchmark"), open_dataset(folder), "train", training=True)
    maker, arrays, step = BatchMaker(source), new_arrays(source.layout()), iter(range(1 << 30))
    return lambda: void(maker.make(*source.place(next(step)), arrays))


def by_hand(folder: Path) -> Callable[[], None]:
    """Make the same batch with cv2 alone, of members that are in memory."""
    reader, rng = ShardReader(folder, "train", frozenset({"seg.png"})), np.random.default_rng(0)
    files = [(bytes(raw.data), bytes(raw.member("seg.png"))) for raw in (reader.read(0, i) for i in range(SAMPLES))]
    pixels, masks = np.empty((BATCH, CROP, CROP, 3), np.uint8), np.empty((BATCH, CROP, CROP), np.uint8)

    def batch() -> None:
        for i, which in enumerate(rng.permutation(SAMPLES)[:BATCH]):
            image, mask = (np.frombuffer(data, np.uint8) for data in files[which])
            x = cv2.imdecode(image, cv2.IMREAD_COLOR_RGB)
            y = cv2.imdecode(mask, cv2.IMREAD_GRAYSCALE)
            top, left = rng.integers(HEIGHT - CROP + 1), rng.integers(WIDTH - CROP + 1)
            cut = slice(top, top + CROP), slice(left, left + CROP)
            mirrored = rng.random() < 0.5
            pixels[i], masks[i] = (cv2.flip(part[cut], 1) if mirrored else part[cut] for part in (x, y))

    return batch


def void(value: object) -> None:
    """Give nothing back."""


def rate(batch: Callable[[], None], seconds: float = 2.0) -> float:
    """Measure samples a second of processor time."""
    began, samples = time.process_time(), 0
    while (took := time.process_time() - began) < seconds:
        batch()
        samples += BATCH
    return samples / took


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=9)
    asked = parser.parse_args()
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as name:
        make_data(Path(name))
        feed, loop = ours(Path(name)), by_hand(Path(name))
        rates = in_turns({"ours": lambda: rate(feed), "by hand": lambda: rate(loop)}, asked.turns)
    for way, found in rates.items():
        print(f"{way:10}{sorted(found)[len(found) // 2]:8.0f} samples a CPU second")
    print(f"ours over by hand: {quotients(rates['ours'], rates['by hand'])}; wanted 0.85")


if __name__ == "__main__":
    main()
