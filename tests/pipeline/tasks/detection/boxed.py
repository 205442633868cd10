"""A tiny dataset folder of pictures with one to three bright rectangles, whose colours are classes."""

import json
from pathlib import Path

import numpy as np

from pipeline.decode.image import encode_jpeg
from pipeline.decode.objects import store_objects
from pipeline.shards.dataset import Dataset
from pipeline.shards.writer import StoredSample, write_dataset, write_shard

COLOURS = {"blue": (40, 60, 250), "green": (40, 230, 60), "red": (250, 50, 40)}
WIDTH, HEIGHT = 64, 48


def boxed_sample(number: int, outlined: bool = False) -> StoredSample:
    """Picture `number`; `outlined`: each rectangle is its object's mask, too."""
    rng = np.random.default_rng(number)
    pixels = np.full((HEIGHT, WIDTH, 3), 70, np.uint8)
    boxes, kinds = [], []
    for place in range(1 + number % 3):  # side by side, so that none covers another
        left, top = 21 * place + int(rng.integers(4)), int(rng.integers(HEIGHT - 24))
        box = (left, top, left + int(rng.integers(10, 17)), top + int(rng.integers(12, 24)))
        kind = int(rng.integers(3))
        pixels[box[1] : box[3], box[0] : box[2]] = list(COLOURS.values())[kind]
        boxes.append(box)
        kinds.append(kind)
    outlines = {"outlines": [[[x0, y0, x1, y0, x1, y1, x0, y1]] for x0, y0, x1, y1 in boxes]} if outlined else {}
    said = json.dumps({"size": [WIDTH, HEIGHT], "boxes": boxes, "classes": kinds, **outlines}).encode()
    content, amounts = store_objects(said, (WIDTH, HEIGHT), (WIDTH, HEIGHT), 3)
    labels = tuple(sorted(set(kinds)))
    names = tuple(list(COLOURS)[label] for label in labels)
    sample = StoredSample(
        "jpg", encode_jpeg(pixels, 95), labels, names, f"{number}.jpg", "0" * 64, WIDTH, HEIGHT, 1, 0, 0
    )
    more = {"members": {"objects.json": content}, "amounts": amounts, "objects": len(boxes)}
    return StoredSample(**{**vars(sample), **more})


def write_boxed(folder: Path, train: int = 26, val: int = 7, outlined: bool = False) -> Dataset:
    """Write it, a shard a split."""
    numbers = {"train": range(train), "val": range(1000, 1000 + val)}
    shards = {
        split: [write_shard(folder, split, 0, 0, [boxed_sample(number, outlined) for number in of])]
        for split, of in numbers.items()
    }
    return write_dataset(folder, "image", list(COLOURS), shards, label_sets=True)
