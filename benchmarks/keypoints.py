"""PCK of the mean pose, beside which that of a model stands: `python -m benchmarks.keypoints RECIPE DATASET`.

DATASET is the folder of the shards that the recipe's run made, `store/artifacts/shard/...`. The mean is over the
training split, of joints as shares of the picture, and as shares of the body's box, which a model is not told.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.decode.objects import Objects
from pipeline.recipe import load
from pipeline.recipe.bodies import Skeleton, skeleton_of
from pipeline.shards.dataset import Dataset, open_dataset
from pipeline.shards.reader import RawSample, ShardReader
from pipeline.tasks.keypoints.fields import joints_of
from pipeline.tasks.keypoints.oks import SHARE, lengths, right_joints

MEMBER = "objects.json"


def samples(dataset: Dataset, split: str) -> Iterator[tuple[RawSample, Objects]]:
    """Yield the samples of a split with their bodies."""
    reader = ShardReader(dataset.files, split, frozenset({MEMBER}))
    for number, shard in enumerate(dataset.split(split).shards):
        for index in range(shard.samples):
            raw = reader.read(number, index)
            yield raw, raw.companion(MEMBER)


def boxes(raw: RawSample, objects: Objects, boxed: bool) -> np.ndarray:
    """Return what joints are shares of, x0, y0, x1, y1 for each body: its box, or the picture."""
    whole = np.tile([0.0, 0.0, raw.width, raw.height], (len(objects), 1))
    return objects.boxes.astype(np.float64) if boxed else whole


def mean_pose(dataset: Dataset, body: Skeleton, boxed: bool) -> np.ndarray:
    """Average the training split's labelled joints, [J, 2]."""
    total, count = np.zeros((len(body.joints), 2)), np.zeros((len(body.joints), 1))
    for raw, objects in samples(dataset, "train"):
        for points, box in zip(joints_of(objects, len(body.joints)), boxes(raw, objects, boxed), strict=True):
            seen = points[:, 2:] > 0
            total += seen * (points[:, :2] - box[:2]) / (box[2:] - box[:2])
            count += seen
    found: np.ndarray = total / np.maximum(count, 1)
    return found


def pck(dataset: Dataset, body: Skeleton, boxed: bool) -> tuple[int, int]:
    """Count the validation split's joints that the mean pose meets, and all."""
    mean = mean_pose(dataset, body, boxed)
    found = np.zeros(2, np.int64)
    for raw, objects in samples(dataset, "val"):
        points = joints_of(objects, len(body.joints))
        box = boxes(raw, objects, boxed)
        said = box[:, None, :2] + mean * (box[:, 2:] - box[:, :2])[:, None]
        truth = {"keypoints": points, "boxes": objects.boxes, "crowd": objects.crowd, "area": objects.areas}
        length = lengths(truth, body.torso, body.mirrored)
        sure = np.concatenate([said, np.ones((*said.shape[:2], 1))], 2)
        found += [part.sum() for part in right_joints(sure, truth, length, np.arange(len(points)))]
    return int(found[0]), int(found[1])


def main(recipe: str, folder: str) -> None:
    """Print both."""
    task: Any = load(recipe).task
    body, dataset = skeleton_of(task.body), open_dataset(Path(folder))
    for boxed, what in ((False, "of the picture"), (True, "of its box")):
        right, labelled = pck(dataset, body, boxed)
        print(f"mean pose, shares {what}: PCK@{SHARE:g} {right / max(labelled, 1):.1%} ({right} of {labelled} joints)")


if __name__ == "__main__":
    main(*sys.argv[1:3])
