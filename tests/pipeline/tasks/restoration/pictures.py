"""Tiny dataset folders of pictures, alone or in pairs, and the values of recipes for them."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.decode.image import encode_png
from pipeline.shards.dataset import Dataset
from pipeline.shards.writer import StoredSample, write_dataset, write_shard
from pipeline.tasks.restoration.degrade import resized
from tests.conftest import tiny_values

SIZES = [(24, 32), (26, 20), (21, 33)]
"""(H, W) of the targets, in turn."""


def target(number: int) -> np.ndarray:
    """Smooth waves with edges: uint8 [H, W, 3]."""
    height, width = SIZES[number % 3]
    y, x = np.mgrid[:height, :width] + number
    return np.stack([127 + 100 * np.sin(x / 3 + c) * np.cos(y / (4 + c)) for c in range(3)], -1).astype(np.uint8)


def sample(number: int, scale: int | None) -> StoredSample:
    """Picture `number`; with a scale the pair of a smaller one and its target."""
    pixels, members = target(number), {}
    if scale is not None:
        pixels = pixels[: pixels.shape[0] // scale * scale, : pixels.shape[1] // scale * scale]
        members = {"target.png": encode_png(pixels)}
        pixels = resized(pixels, pixels.shape[0] // scale, pixels.shape[1] // scale)
    height, width = pixels.shape[:2]
    made = StoredSample("png", encode_png(pixels), (), (), f"{number}.png", "0" * 64, width, height, 1, 0, 0)
    return StoredSample(**{**vars(made), "members": members})


def write_pictures(folder: Path, scale: int | None = None, train: int = 12, val: int = 7) -> Dataset:
    """Write it, a shard a split."""
    numbers = {"train": range(train), "val": range(100, 100 + val)}
    shards = {
        split: [write_shard(folder, split, 0, 0, [sample(number, scale) for number in of])]
        for split, of in numbers.items()
    }
    return write_dataset(folder, "image", [], shards, label_sets=True)


def values(scale: int = 2, degrade: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """The values of a recipe for pairs, or for pictures that are degraded; `changes` are sections."""
    source: dict[str, Any] = {"kind": "images", "path": "/nowhere"}
    model: dict[str, Any] = {"kind": "edsr_baseline", "scale": scale, "blocks": 1, "width": 4, "pixel_range": 1}
    return {
        **tiny_values("image"),
        "task": {"kind": "restoration", "scale": scale, **({"degrade": degrade} if degrade is not None else {})},
        "data": {"source": source if degrade is not None else {**source, "targets": "/nowhere/too"}},
        "shard": {"image": {"resize": False}},
        "model": model,
        "augment": {
            "train": [{"RandomCrop": {"height": 16, "width": 12}}, {"D4": {"p": 0}}],
            "eval": [],
            "mean": [0, 0, 0],
            "std": [1, 1, 1],
        },
        **changes,
    }
