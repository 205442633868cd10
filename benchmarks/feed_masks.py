"""The feed of pictures with masks against a loop by hand with cv2, on the same members in the same run.

    python -m benchmarks.feed_masks [--turns 9]

Both decode a JPEG and a PNG of class numbers, cut a random 224 px crop and mirror half of the pairs, on one core and in
one process, with files in the system's cache. Wanted: 0.85 of the loop's samples a second of processor time.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.by_hand import SAMPLES, compare, feed, files, photographs, sample, write
from benchmarks.feed_peers import BATCH, CROP
from pipeline.decode.masks import encode_mask

CLASSES = tuple(f"class {i}" for i in range(11))
WIDTH, HEIGHT = 480, 360


def make_data(folder: Path) -> None:
    """Photographs of CamVid's size with masks whose outlines are as smooth as those that a person draws."""
    samples = []
    for i, pixels in enumerate(photographs(np.random.default_rng(0), WIDTH, HEIGHT)):
        smooth = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (0, 0), 8)
        mask = (smooth.astype(np.uint16) * len(CLASSES) // 256).astype(np.uint8)
        samples.append(sample(pixels, i, {"seg.png": encode_mask(mask)}))
    write(folder, CLASSES, samples)


def ours(folder: Path) -> Callable[[], None]:
    """Make a batch as a feed's worker does."""
    source = {"kind": "images", "path": "/nowhere", "masks": "/nowhere", "classes": list(CLASSES)}
    return feed(folder, CROP, task={"kind": "segmentation"}, data={"source": source}, model={"kind": "unet_bn"})


def by_hand(folder: Path) -> Callable[[], None]:
    """Make the same batch with cv2 alone, of members that are in memory."""
    there, rng = files(folder, "seg.png"), np.random.default_rng(0)
    pixels, masks = np.empty((BATCH, CROP, CROP, 3), np.uint8), np.empty((BATCH, CROP, CROP), np.uint8)

    def batch() -> None:
        for i, which in enumerate(rng.permutation(SAMPLES)[:BATCH]):
            image, mask = (np.frombuffer(data, np.uint8) for data in there[which])
            x = cv2.imdecode(image, cv2.IMREAD_COLOR_RGB)
            y = cv2.imdecode(mask, cv2.IMREAD_GRAYSCALE)
            top, left = rng.integers(HEIGHT - CROP + 1), rng.integers(WIDTH - CROP + 1)
            cut = slice(top, top + CROP), slice(left, left + CROP)
            mirrored = rng.random() < 0.5
            pixels[i], masks[i] = (cv2.flip(part[cut], 1) if mirrored else part[cut] for part in (x, y))

    return batch


if __name__ == "__main__":
    compare(make_data, ours, by_hand)
