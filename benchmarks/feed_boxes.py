"""The feed of pictures with boxes against a loop by hand with cv2, on the same members in the same run.

    python -m benchmarks.feed_boxes [--turns 9]

Both decode a JPEG and the JSON of its objects, cut a random 300 px crop, move and clip the boxes, drop those outside
and mirror half of the pictures, on one core and in one process, with files in the system's cache. Wanted: 0.85 of the
loop's samples a second of processor time.
"""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.by_hand import SAMPLES, compare, feed, files, photographs, sample, write
from benchmarks.feed_peers import BATCH
from pipeline.decode.objects import store_objects

OBJECTS, CLASSES = 12, tuple(f"class {i}" for i in range(20))
WIDTH, HEIGHT, CROP = 500, 375, 300
"""Of pictures as those of Pascal VOC."""


def make_data(folder: Path) -> None:
    """Photographs with up to twice OBJECTS boxes each."""
    rng, samples = np.random.default_rng(0), []
    for i, pixels in enumerate(photographs(rng, WIDTH, HEIGHT)):
        count = int(rng.integers(1, 2 * OBJECTS))
        low = rng.uniform(0, [WIDTH - 60, HEIGHT - 60], (count, 2))
        boxes = np.concatenate([low, low + rng.uniform(10, 60, (count, 2))], 1).round(2).tolist()
        kinds = rng.integers(len(CLASSES), size=count).tolist()
        said = json.dumps({"size": [WIDTH, HEIGHT], "boxes": boxes, "classes": kinds}).encode()
        content, amounts = store_objects(said, (WIDTH, HEIGHT), (WIDTH, HEIGHT), len(CLASSES))
        samples.append(sample(pixels, i, {"objects.json": content}, amounts=amounts, objects=count))
    write(folder, CLASSES, samples)


def ours(folder: Path) -> Callable[[], None]:
    """Make a batch as a feed's worker does."""
    source = {"kind": "coco", "path": "/nowhere", "annotations": "/nowhere.json"}
    return feed(folder, CROP, task={"kind": "detection"}, data={"source": source}, model={"kind": "ssd300_vgg16"})


def by_hand(folder: Path) -> Callable[[], None]:
    """Make the same batch with cv2 and numpy alone, of members that are in memory."""
    there, rng = files(folder, "objects.json"), np.random.default_rng(0)
    pixels = np.empty((BATCH, CROP, CROP, 3), np.uint8)
    boxes, kinds = np.empty((BATCH, 2 * OBJECTS, 4), np.float32), np.empty((BATCH, 2 * OBJECTS), np.int16)

    def batch() -> None:
        for i, which in enumerate(rng.permutation(SAMPLES)[:BATCH]):
            image, objects = there[which]
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


if __name__ == "__main__":
    compare(make_data, ours, by_hand)
