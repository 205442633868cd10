"""Which training order a recipe asks for: `train.sampling`, the dataset's labels and its sources."""

from fractions import Fraction

import numpy as np

from pipeline.base.errors import ZoetropeError
from pipeline.feed.repeated import Repeated
from pipeline.recipe import Recipe
from pipeline.recipe.sampling import AllSamples, Shares, Weighted, class_weights, epoch_samples
from pipeline.shards.dataset import Dataset
from pipeline.shards.mixture import Mixture, parts
from pipeline.shards.order import Order, TrainingOrder
from pipeline.shards.reader import ShardReader
from pipeline.shards.sampling import Sampled, one_class, samples_per_class


def training_order(recipe: Recipe, dataset: Dataset, split: str) -> TrainingOrder:
    """Return the order of a split; sampling by class reads every shard's index.

    ZoetropeError for a name that is not there.
    """
    order, repeats = _order(recipe, dataset, split), recipe.train.repeats
    return order if repeats == 1 else Repeated(order, repeats)


def _order(recipe: Recipe, dataset: Dataset, split: str) -> TrainingOrder:
    """Return the order of a batch's different samples."""
    train, listed = recipe.train, dataset.split(split)
    window, group = train.shuffle_window, recipe.mix_group
    order = Order(listed.counts, train.distinct, window, recipe.seed, group, train.keep_last)
    sampling = train.sampling
    if isinstance(sampling, AllSamples):
        return order
    samples = epoch_samples(sampling, listed.samples)
    if isinstance(sampling, Shares):
        names = sorted(sampling.of)
        sources = [shard.source for shard in listed.shards]
        if empty := [name for name in names if name not in sources]:
            raise ZoetropeError(f"train.sampling.of: no training sample of {empty[0]} is left; leave that source out")
        counts = parts([Fraction(str(sampling.of[name])) for name in names])
        return Mixture(order, np.array([names.index(str(source)) for source in sources]), tuple(counts), samples)
    weights = class_weights(sampling, dataset.classes) if isinstance(sampling, Weighted) else None
    reader = ShardReader(dataset.files, split)
    each = [one_class(reader.labels(shard), listed.class_counts) for shard in range(len(listed.shards))]
    labels, sizes = np.concatenate(each), listed.class_counts
    if recipe.task.label_sets:
        sizes = tuple(np.bincount(labels, minlength=len(sizes) + 1).tolist())
        weights = [*weights, Fraction(1)] if weights else None
        if sizes[-1] == listed.samples:
            raise ZoetropeError(
                f"train.sampling.kind: {sampling.kind} goes by the classes that a sample has, and the shards do not "
                "say them, as of tars that stay where they are; leave it out"
            )
    if weights and not any(w * n for w, n in zip(weights, sizes, strict=True)):
        raise ZoetropeError("train.sampling.classes: every class that has training samples weighs 0")
    return Sampled(order, labels, samples_per_class(samples, sizes, weights))
