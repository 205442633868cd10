"""The pictures that `feed_images` reads, and Zoetrope's training batches of them."""

from pathlib import Path

import cv2
import numpy as np

from pipeline.decode.image import encode_jpeg
from pipeline.feed.batch import BatchSource
from pipeline.recipe import check
from pipeline.shards.dataset import open_dataset
from pipeline.shards.writer import StoredSample, write_dataset, write_shard

SAMPLES, SHARD = 2048, 256


def make_data(folder: Path) -> None:
    """341 x 256 px parts of scikit-learn's two photos, JPEG of quality 90, as files and as our shards."""
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    rng = np.random.default_rng(0)
    samples = []
    (folder / "files").mkdir()
    for i in range(SAMPLES):
        scale = rng.uniform(0.62, 1.0)
        photo = cv2.resize(photos[i % 2], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        y, x = rng.integers(photo.shape[0] - 255), rng.integers(photo.shape[1] - 340)
        data = encode_jpeg(np.ascontiguousarray(photo[y : y + 256, x : x + 341]), 90)
        (folder / "files" / f"{i:05d}.jpg").write_bytes(data)
        samples.append(StoredSample("jpg", data, i % 2, "ab"[i % 2], f"{i}.jpg", "0" * 64, 341, 256, 1, 0.0, 0.0))
    shards = [
        write_shard(folder / "dataset", "train", number, first, samples[first : first + SHARD])
        for number, first in enumerate(range(0, SAMPLES, SHARD))
    ]
    write_dataset(folder / "dataset", "image", ["a", "b"], {"train": shards})


def source(folder: Path, cache: str | None = None) -> BatchSource:
    """The training batches of a recipe with crop and flip; `cache` as of `feed.cache`."""
    recipe = check(
        {
            "name": "feed",
            "task": {"kind": "image-classification"},
            "data": {"source": {"kind": "folder", "path": "/nowhere"}},
            "model": {"kind": "resnet18"},
            "augment": {
                "train": [{"RandomCrop": {"height": 224, "width": 224}}, {"HorizontalFlip": {}}],
                "eval": [{"CenterCrop": {"height": 224, "width": 224}}],
            },
            "shard": {"image": {"short_side": 256}},
            "optimizer": {"kind": "sgd"},
            "train": {"duration": "1ep", "batch_size": 64},
            "feed": {"cache": cache},
        },
        "the benchmark",
    )
    return BatchSource(recipe, open_dataset(folder / "dataset"), "train", training=True)
