"""What earlier versions trained is what this one trains: batches to the bit, sums and weights by value.

`python -m tests.pipeline.feed.test_old_batches` prints them as they are now.
"""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import new_arrays
from pipeline.recipe import check
from pipeline.shards.dataset import Dataset, open_dataset
from pipeline.shards.writer import write_dataset, write_shard
from pipeline.training.checkpoint import final_weights, read
from pipeline.training.distributed import Process
from pipeline.training.loop import train
from tests.conftest import COLOURS, image_sample, tiny_values, video_sample, write_tiny

RICAP = {"mixing": {"kind": "ricap"}, "train.mix_group": 4, "loss.label_smoothing": 0.1}
MIXUP = {"mixing": {"kind": "mixup", "alpha": 1.0}, "train.micro_batch": 4, "train.mix_group": 4}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "images": ("image", RICAP),
    "videos": ("video", {}),
    "sets": ("image", {"task.kind": "image-multilabel", **MIXUP}),
}
SETS = ((), (0,), (0, 2), (1, 2), (0, 1, 2))
BATCHES: dict[str, list[str]] = {
    "images": [
        "b1a91f8dfa5a7a5c682e70e97dfb781801227a04d888c03e240486418e4dd996",
        "149bf2a55094e0dd0a7564bf748ec48dd685366cdcc51140ed51a1db7ef8df9e",
        "1b43add9914a8255bcfa03cb23be9b2e08c92744c9039ebdb439baaed94b0dc3",
    ],
    "videos": [
        "0976a8a26f9fdf0f4acea52b5fab47053ab186b262ff95ff8a9dbc3987f52a59",
        "197f11b34620b228941c0d6ce4c1566303620faae8cd8e7ff6a3d21e71f89c1b",
        "8759ad8adec51862ae8498e7913ec27aa628b83f31b98eaf6e013b41aef312ce",
    ],
    "sets": [
        "c68c71e2f8a0ee0734132ca21ec7be9491ec7eb83a2f3a9656cb7c067759a951",
        "ac6d23c9392b7c45d61a4bbc64bae002295b7108807688c6daaa5d01937953af",
        "c3f515e65415b47531d8eed5189adb5578beb79a5e9e7c1d724bcccf5f3c4f57",
    ],
}
"""sha256 of two training batches and one of validation, without and with more than one view."""
MEASURED: dict[str, dict[str, float]] = {
    "images": {
        "val/loss": 0.9501764,
        "val/top1": 0.7142857,
        "train/loss": 1.170403,
        "train/top1": 0.3719637,
        "lr": 0.00732233,
        "sum": 678.1885,
        "squares": 1381.185,
        "last": -0.01905954,
    },
    "videos": {
        "val/loss": 1.089523,
        "val/top1": 0.4285714,
        "train/loss": 1.299174,
        "train/top1": 0.125,
        "lr": 0.00732233,
        "sum": 1192.097,
        "squares": 2356.493,
        "last": -0.01126624,
    },
    "sets": {
        "val/loss": 0.6822476,
        "val/f1": 0.6086957,
        "val/mAP": 0.6013889,
        "train/loss": 0.702415,
        "train/f1": 0.5825243,
        "lr": 0.00732233,
        "sum": 741.0951,
        "squares": 2343.925,
        "last": 0.01080399,
    },
}
"""Metrics after four steps, and of the weights then the sum, that of their squares and the last one."""


def write_sets(folder: Path) -> Dataset:
    """As `write_tiny`, but a sample has a set of classes."""
    shards = {
        split: [
            write_shard(
                folder, split, 0, 0, [replace(image_sample(i % 3, first + i), label=SETS[i % 5]) for i in range(count)]
            )
        ]
        for split, count, first in (("train", 26, 0), ("val", 7, 500))
    }
    write_dataset(folder, "image", list(COLOURS), shards, True)
    return open_dataset(folder)


WRITERS: dict[str, Callable[[Path], Dataset]] = {
    "images": lambda folder: write_tiny(folder, "image", image_sample),
    "videos": lambda folder: write_tiny(folder, "video", video_sample),
    "sets": write_sets,
}


def recipe_of(case: str) -> Any:
    modality, changes = CASES[case]
    return check(tiny_values(modality, **changes, **{"train.duration": "4st", "train.checkpoint": "4st"}), case)


def batches(case: str, dataset: Dataset) -> list[str]:
    """The digests of what the feed makes."""
    recipe, found = recipe_of(case), []
    for source, places in (
        (BatchSource(recipe, dataset, "train", 1, 2, training=True), ((0, 1), (1, 2))),
        (BatchSource(recipe, dataset, "val", num_crops=3), ((0, 0),)),
    ):
        maker = BatchMaker(source)
        for place in places:
            arrays = new_arrays(source.layout())
            count, samples = maker.make(*place, arrays)
            digest = hashlib.sha256(f"{count} {samples}".encode())
            known = ("pixels", "sample", "weight")
            (target,) = arrays.keys() - {*known}
            for name in (*known, target):
                digest.update(np.ascontiguousarray(arrays[name][:count]).tobytes())
            found.append(digest.hexdigest())
    return found


def measured(case: str, dataset: Dataset, folder: Path) -> dict[str, float]:
    """What four steps come to."""
    points: dict[str, float] = {}

    def on_points(step: int, total: int, metrics: dict[str, float]) -> None:
        points.update({name: value for name, value in metrics.items() if name.startswith(("train/", "val/", "lr"))})

    torch.set_num_threads(1)
    train(recipe_of(case), dataset, Process(), on_points, lambda step, state, metrics: state.save(folder))
    weights = torch.cat([w.double().flatten() for w in final_weights(read(folder)).values()])
    return points | {"sum": float(weights.sum()), "squares": float(weights.square().sum()), "last": float(weights[-1])}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    return {case: write(tmp_path_factory.mktemp(case)) for case, write in WRITERS.items()}


@pytest.mark.parametrize("case", CASES)
def test_batches_are_the_same_to_the_bit(case: str, datasets: dict[str, Dataset]) -> None:
    assert batches(case, datasets[case]) == BATCHES[case]


@pytest.mark.parametrize("case", CASES)
def test_four_steps_come_to_the_same(case: str, datasets: dict[str, Dataset], tmp_path: Path) -> None:
    found = measured(case, datasets[case], tmp_path)
    # Processors round differently; what is mixed, smoothed or shifted otherwise differs by far more.
    assert found == pytest.approx(MEASURED[case], rel=1e-4, abs=1e-5)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for case, write in WRITERS.items():
            dataset = write(Path(folder, case))
            print(case, batches(case, dataset), measured(case, dataset, Path(folder, case)), sep="\n")
