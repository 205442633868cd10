"""The verb `preview`: what a recipe's training would make of its samples, without training and without Ray."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import key_bits
from pipeline.recipe import Recipe
from pipeline.recipe.sampling import AllSamples, epoch_samples
from pipeline.recipe.sources import DrawnSource, WebDatasetSource
from pipeline.sources import masks
from pipeline.sources.drawn import draw
from pipeline.sources.rows import number_classes
from pipeline.stages.headers import probe_chunk
from pipeline.stages.ingest import look
from pipeline.stages.shard import store_samples
from pipeline.verbs.planning import make_plan

if TYPE_CHECKING:
    from pipeline.shards.dataset import Dataset

TAKEN = 64
"""Samples of the source that are looked at where nothing is sharded yet."""


def preview(recipe: Recipe, path: Path) -> str:
    """Draw the recipe's augmentation as a PNG at `path`; returns which samples it shows.

    They are the training's first ones where the data is sharded, else some of the source.
    """
    from pipeline.shards.dataset import open_dataset
    from pipeline.training.first_batch import draw_preview

    planned, _ = make_plan(recipe)
    shards = next(step.artifact for step in planned.steps if step.stage.name == "shard")
    if shards:
        draw_preview(recipe, open_dataset(shards.files), path)
        return "the first samples of the training"
    _check_listed(recipe)
    with tempfile.TemporaryDirectory() as folder:
        dataset = some_samples(recipe, Path(folder))
        count = min(recipe.train.distinct, dataset.splits["train"].samples) * recipe.train.repeats
        train = recipe.train.model_copy(update={"batch_size": count, "sampling": AllSamples()})
        draw_preview(recipe.model_copy(update={"train": train}), dataset, path)
    return "some samples of the source; the training's first ones once the data is sharded"


def preview_lr(recipe: Recipe, path: Path) -> str:
    """Draw the learning rate over the recipe's training as a PNG at `path`; returns what it shows.

    Where nothing is sharded yet, the source's listing says how many samples there are.
    """
    from pipeline.figures.figures import learning_rate_curve
    from pipeline.training.loop import Plan

    plan = Plan.of(recipe, _steps_per_epoch(recipe))
    learning_rate_curve(*plan.lr_curve(), path)
    shown = f"the learning rate of {plan.total} steps, {plan.steps_per_epoch} an epoch; its peak is {plan.peak_lr:g}"
    return f"{shown}; what will be measured may change it" if plan.factor.parts else shown


def _steps_per_epoch(recipe: Recipe) -> int:
    from pipeline.feed.batch import BatchSource
    from pipeline.shards.dataset import open_dataset

    planned, _ = make_plan(recipe)
    shards = next(step.artifact for step in planned.steps if step.stage.name == "shard")
    if shards:
        return BatchSource(recipe, open_dataset(shards.files), "train", training=True).steps
    _check_listed(recipe)
    source = recipe.data.source
    if isinstance(source, DrawnSource):
        listed = round(source.samples * recipe.data.split.trained)
    else:
        listed = sum(candidate.split == "train" for candidate in look(recipe, None).candidates)
    samples, batch = epoch_samples(recipe.train.sampling, listed), recipe.train.distinct
    return max(1, -(-samples // batch) if recipe.train.keep_last else samples // batch)


def _check_listed(recipe: Recipe) -> None:
    if isinstance(recipe.data.source, WebDatasetSource):
        raise ZoetropeError(
            "what tars hold is known once they are read: start `run` with this recipe, "
            "and look again when its stages ingest and shard are done"
        )


def some_samples(recipe: Recipe, folder: Path) -> "Dataset":
    """Return a data set in `folder` of the first training samples of the source, in the order of the shards."""
    from pipeline.shards.writer import write_dataset, write_shard

    source, drawn = recipe.data.source, None
    if isinstance(source, DrawnSource):
        drawn = folder / "files"
        draw(source, drawn, range(min(TAKEN, source.samples)))
    listing = look(recipe, drawn)
    classes = listing.classes()
    candidates = [candidate for candidate in listing.candidates if candidate.split == "train"]
    first = sorted(candidates, key=lambda one: key_bits(recipe.seed, one.key))[:TAKEN]
    rows, bad = probe_chunk(recipe.task.modality, recipe.feed.timeout_s, first, listing.masks, recipe.data.bands)
    numbers = {name: number for number, name in enumerate(classes)}
    if listing.masks:
        masks.tally(rows, listing.masks, numbers)
    values = {name: one.numbered(numbers) for name, one in listing.masks.items()}
    for row in rows:
        number_classes(row, numbers, recipe.task.label_sets)
    samples = []
    stored = store_samples([row["path"] for row in rows], rows, classes, recipe, values)
    for row, made in zip(rows, stored, strict=True):
        if isinstance(made, ZoetropeError):
            bad.append({"source": row["key"], "stage": "shard", "reason": str(made)})
        else:
            samples.append(made)
    if not samples:
        raise ZoetropeError(
            f"none of the source's first samples can be read; the last one is {bad[-1]['source']}: {bad[-1]['reason']}"
        )
    shard = write_shard(folder, "train", 0, 0, samples)
    return write_dataset(folder, recipe.task.modality, classes, {"train": [shard]}, recipe.task.label_sets)
