"""Density matching: how well a model that never saw augmented samples knows held-out ones, augmented by a policy.

Lim et al. 2019, "Fast AutoAugment", section 3.2: nothing is trained for a candidate.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from augment.policy import Policy
from augment.transforms import compose
from pipeline.feed.batch import BatchSource
from pipeline.feed.local import local_feed
from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset
from pipeline.tasks import task_of
from pipeline.tasks.base import Task
from pipeline.training.model import load_model
from pipeline.training.step import Normalize, Running
from tune.policy.recipes import auto_augment

PASSES = 5
"""Draws of the policy a sample, of which the best one counts, as in the authors' code."""


class Score(NamedTuple):
    """Top-1 0..1 and the mean loss in nats."""

    top1: float
    loss: float


def best_of(probabilities: np.ndarray, labels: np.ndarray) -> Score:
    """Return the score of n samples seen in several draws, of which each sample's best counts.

    probabilities float [draws, n, K], labels int64 [n]. (The authors' `minus_loss` takes the minimum over all samples
    and draws together, which is one number; this takes it a sample.)
    """
    hits = (probabilities.argmax(-1) == labels).any(0)
    likeliest = probabilities[:, np.arange(len(labels)), labels].max(0)
    return Score(float(hits.mean()), float(-np.log(np.clip(likeliest, 1e-12, None)).mean()))


@dataclass
class Density:
    """Scores policies. pixels uint8 [n, (T,) H, W, 3] are the held-out samples as `augment.eval` makes them."""

    recipe: Recipe
    task: Task
    run: Running
    pixels: np.ndarray
    labels: np.ndarray
    key: tuple[int | str, ...]

    @classmethod
    def of(cls, recipe: Recipe, dataset: Dataset, weights: Path, most: int, *key: int | str) -> "Density":
        """Measure with the model in `weights` and the first `most` samples of the dataset's
        split `val`, which lie in memory.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = load_model(recipe, len(dataset.classes), weights, device)
        task, run = task_of(recipe, dataset.classes), Running(model, Normalize.of(recipe, device), recipe.train)
        return cls(recipe, task, run, *_views(recipe, dataset, most), key)

    def __call__(self, policy: Policy) -> Score:
        """Return the same draws for every policy, so that candidates differ in the policy alone."""
        augmentation = compose([auto_augment(self.recipe, policy)], bands=self.recipe.data.bands)
        draws = []
        for number in range(PASSES):
            seen = [augmentation(view, "density", *self.key, number, i) for i, view in enumerate(self.pixels)]
            answer = self.task.infer(self.run, {"pixels": np.stack(seen)[:, None]})
            draws.append(answer["scores"].cpu().numpy())
        return best_of(np.stack(draws), self.labels)


def _views(recipe: Recipe, dataset: Dataset, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels and labels of the first `most` samples that can be read.

    Shards are not sorted, so these are any.
    """
    source = BatchSource(recipe, dataset, "val")
    steps = range(min(source.steps, -(-most // recipe.train.batch_size)))
    found: list[tuple[Any, Any]] = []
    feed = local_feed(source, steps, {})
    try:
        for batch in feed:
            good = batch.arrays["weight"] > 0
            found.append((batch.arrays["pixels"][good, 0].copy(), batch.arrays["label"][good].copy()))
    finally:
        feed.close()
    pixels, labels = (np.concatenate(column) for column in zip(*found, strict=True))
    return pixels[:most], labels[:most]
