"""The feed of pictures with boxes against a loop by hand with cv2, on the same members in the same run.

    python -m benchmarks.feed_boxes [--turns 9]

Both decode a JPEG and the JSON of its objects, cut a random 300 px crop, move and clip the boxes, drop those outside
and mirror half of the pictures, on one core and in one process, with files in the system's cache. Wanted: 0.85 of the
loop's samples a second of processor time.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.feed_masks import rate, void
from benchmarks.feed_peers import BATCH
from benchmarks.pairs import in_turns, quotients
from pipeline.decode.image import encode_jpeg
from pipeline.decode.objects import store_objects
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import new_arrays
from pipeline.recipe import check
from pipeline.shards.dataset import open_dataset
from pipeline.shards.reader import ShardReader
from pipeline.shards.writer import StoredSample, write_dataset, write_shard

SAMPLES, OBJECTS, CLASSES = 256, 12, tuple(f"class {i}" for i in range(20))
WIDTH, HEIGHT, CROP = 500, 375, 300
"""Of pictures as those of Pascal VOC."""


def make_data(folder: Path) -> None:
    """Photographs with up to twice OBJECTS boxes each."""
    from sklearn.datasets import load_sample_images

    photos, rng, samples = load_sample_images().images, np.random.default_rng(0), []
    for i in range(SAMPLES):
        photo = photos[i % 2]
        y, x = rng.integers(photo.shape[0] - HEIGHT + 1), rng.integers(photo.shape[1] - WIDTH + 1)
        pixels = np.ascontiguousarray(photo[y : y + HEIGHT, x : x + WIDTH])
        count = int(rng.integers(1, 2 * OBJECTS))
        low = rng.uniform(0, [WIDTH - 60, HEIGHT - 60], (count, 2))
        boxes = np.concatenate([low, low + rng.uniform(10, 60, (count, 2))], 1).round(2).tolist()
        kinds = rng.integers(len(CLASSES), size=count).tolist()
        said = json.dumps({"size": [WIDTH, HEIGHT], "boxes": boxes, "classes": kinds}).encode()
        content, amounts = store_objects(said, (WIDTH, HEIGHT), (WIDTH, HEIGHT), len(CLASSES))
        file = (f"{i}.jpg", "0" * 64, WIDTH, HEIGHT, 1, 0.0, 0.0)
        sample = StoredSample("jpg", encode_jpeg(pixels, 90), (), (), *file)
        more = {"members": {"objects.json": content}, "amounts": amounts, "objects": count}
        samples.append(StoredSample(**{**vars(sample), **more}))
    write_dataset(folder, "image", list(CLASSES), {"train": [write_shard(folder, "train", 0, 0, samples)]}, True)


def ours(folder: Path) -> Callable[[], None]:
    """Make a batch as a feed's worker does."""
    values = {
        "name": "feed",
        "task": {"kind": "detection"},
        "data": {"source": {"kind": "coco", "path": "/nowhere", "annotations": "/nowhere.json"}},
        "model": {"kind": "ssd300_vgg16"},
        "augment": {"train": [{"RandomCrop": {"height": CROP, "width": CROP}}, {"HorizontalFlip": {}}], "eval": []},
        "optimizer": {"kind": "sgd"},
        "train": {"duration": "1ep", "batch_size": BATCH},
    }
    source = BatchSource(check(values, "the benchmark"), open_dataset(folder), "train", training=True)
    maker, arrays, step = BatchMaker(source), new_arrays(source.layout()), iter(range(1 << 30))
    return lambda: void(maker.make(*source.place(next(step)), arrays))


def by_hand(folder: Path) -> Callable[[], None]:
    """Make the same batch with cv2 and numpy alone, of members that are in memory."""
    reader, rng = ShardReader(folder, "train", frozenset({"objects.json"})), np.random.default_rng(0)
    files = [
        (bytes(raw.data), bytes(raw.member("objects.json"))) for raw in (reader.read(0, i) for i in range(SAMPLES))
    ]
    pixels = np.empty((BATCH, CROP, CROP, 3), np.uint8)
    boxes, kinds = np.empty((BATCH, 2 * OBJECTS, 4), np.float32), np.empty((BATCH, 2 * OBJECTS), np.int16)

    def batch() -> None:
        for i, which in enumerate(rng.permutation(SAMPLES)[:BATCH]):
            image, objects = files[which]
            x, said = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR_RGB), json.loads(objects)
            top, left = rng.integers(HEIGHT - CROP + 1), rng.integers(WIDTH - CROP + 1)
            moved = np.clip(np.array(said["boxes"], np.float32) - (left, top, left, top), 0, CROP)
            inside = (moved[:, 2:] > moved[:, :2]).all(1)
            moved, kind = moved[inside], np.array(said["classes"])[inside]
            mirrored = rng.random() < 0.5
            if mirrored:
                moved = np.stack([CROP - moved[:, 2], moved[:, 1], CROP - moved[:, 0], moved[:, 3]], 1)
            part = x[top : top + CROP, left : left + CROP]
            pixels[i] = cv2.flip(part, 1) if mirrored else part
            boxes[i], kinds[i] = 0, -1
            boxes[i, : len(moved)], kinds[i, : len(moved)] = moved, kind

    return batch


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
