"""Train: the loop under Ray Train, tracked in MLflow; the weights of its last checkpoint are what it makes."""

import json
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import ZoetropeError
from pipeline.base.redact import redact_values
from pipeline.cluster import tracker
from pipeline.cluster.described import data_words
from pipeline.graph.plan import Context, Stage
from pipeline.recipe import Recipe, plain
from pipeline.recipe.sampling import Weighted, class_weights, epoch_samples
from pipeline.shards.quality import facts_warning
from pipeline.shards.short import short_warning
from pipeline.stages.json_lines import write_rows
from pipeline.stages.quarantine import QUARANTINE
from pipeline.tasks import task_of
from pipeline.training.start import asked as starts_of
from pipeline.training.start import find_start
from pipeline.training.statistics import Statistics, asked, measured, with_statistics, words
from pipeline.training.teacher import digest, find_teacher
from pipeline.training.unreached import unreached

if TYPE_CHECKING:
    from pipeline.shards.dataset import Dataset


def outside(values: Mapping[str, Any]) -> str:
    """Return what stands for the weights to start from, and the digest of the teacher, where there are such."""
    model, distill = values["model"], values["loss"]["distill"]
    marks = [find_start(kind, weights, values["store"]).mark for kind, weights in starts_of(model)]
    teacher = digest(find_teacher(distill["teacher"], values["store"])) if distill else ""
    return " ".join(filter(None, (*marks, teacher)))


STAGE = Stage(
    name="train",
    version=1,
    run="pipeline.stages.train:run",
    keys=("task", "seed", "clip", "model", "augment", "mixing", "loss", "optimizer", "schedule", "train"),
    late=("data.channels", "data.bits"),
    inputs=("shard",),
    outside=outside,
)
WEIGHTS = "model.safetensors"
STATISTICS = "statistics"
"""The fact that holds what was measured for `augment.mean`, `augment.std` and `model.anchors`."""

CURVES = "curves"
"""The fact that holds a few points of each metric: name -> steps and values."""


def run(context: Context) -> dict[str, Any]:
    """Write `model.safetensors`, `classes.json` and figures; returns the last validation metrics and the MLflow run."""
    from pipeline.shards.dataset import open_dataset
    from pipeline.shards.shard import DATASET_FILE
    from pipeline.training.class_weights import loss_weights
    from pipeline.training.lone import lone_problem

    recipe: Recipe = context.recipe
    context.inputs["shard"].whole(DATASET_FILE)
    dataset = open_dataset(context.inputs["shard"].files)
    check_samples(recipe, dataset)
    samples = dataset.split("train").samples
    if lone := lone_problem(recipe, samples):
        raise ZoetropeError(lone)
    sorted_by_class = facts_warning(context.inputs["shard"].facts, recipe.train.shuffle_window)
    for warning in (
        sorted_by_class,
        short_warning(recipe, dataset.files),
        *unreached(recipe.train, recipe.schedule, samples),
    ):
        if warning:
            context.progress.say(warning)
    statistics = statistics_of(context, dataset)
    recipe = with_statistics(recipe, statistics)
    context = replace(context, recipe=recipe)
    loss_weights(recipe.loss, task_of(recipe, dataset.classes), dataset)  # refuses wrong names before workers start
    key = mlflow_key(context)
    writer = tracker.begin(context, key, tracker.SYSTEM_EVERY_S)
    profile = {name: split.samples for name, split in dataset.splits.items()}
    writer.log_dataset.remote(dataset.digest, str(dataset.files), profile)
    writer.tell.remote(data_words(dataset))

    from pipeline.cluster.checkpoints import fetched
    from pipeline.cluster.fit import fit
    from pipeline.cluster.micro_batch import found as micro_batch
    from pipeline.feed.bad_samples import rows
    from pipeline.training.checkpoint import final_weights, read, save_weights

    with ThreadPoolExecutor(1) as beside:  # the workers take seconds to start, in which this process is idle
        described = beside.submit(describe, context, dataset)
        described.add_done_callback(lambda done: done.exception() or writer.log_files.remote(done.result()))
        checkpoint, metrics = fit(context, dataset, partial(tracker.send, writer))
        described.result()

    with fetched(checkpoint, context.parts) as kept:
        state = read(kept)
    save_weights(final_weights(state), context.out / WEIGHTS)
    left_out = [row for split, bad in state["bad"].items() for row in rows(dataset, split, bad, STAGE.name)]
    write_rows(context.out / QUARANTINE, left_out)
    (context.out / "classes.json").write_text(json.dumps(dataset.classes, indent=1))
    facts = {
        "mlflow_key": key,
        CURVES: tracker.curves(writer),
        **tracker.finish(context),
        **metrics,
        "quarantined": len(left_out),
    }
    at_once = micro_batch(context.parts)
    return facts | ({"micro_batch": at_once} if at_once else {}) | ({STATISTICS: statistics} if statistics else {})


def statistics_of(context: Context, dataset: "Dataset") -> Statistics | None:
    """Measure what the recipe leaves to be measured, once for all tries; None where it says the numbers."""
    if not asked(context.recipe):
        return None
    found: Statistics | None = context.parts.finished(STATISTICS)
    if found is None:
        context.parts.finish(STATISTICS, {}, found := measured(context.recipe, dataset, context.progress))
    context.progress.say(f"train: measured, {words(found)}")
    return found


def check_samples(recipe: Recipe, dataset: "Dataset") -> None:
    """Raise ZoetropeError when there are too few samples for a batch, or a class in the recipe is none."""
    sampling = recipe.train.sampling
    if isinstance(sampling, Weighted):
        class_weights(sampling, dataset.classes)
    samples = epoch_samples(sampling, dataset.split("train").samples)
    if samples < recipe.train.distinct and not recipe.train.keep_last:
        raise ZoetropeError(
            f"train.batch_size: a batch of {recipe.train.distinct} samples cannot be made of {samples} training "
            f"samples. Set train.batch_size to at most {samples * recipe.train.repeats}, or train.keep_last to true."
        )


def mlflow_key(context: Context) -> str:
    """Return the name by which the training's MLflow run is found, on any machine: the same one
    until `--rerun` starts over.
    """
    kept = context.parts.finished("spool")
    if kept is None:
        kept = {"name": f"{context.fingerprint}-{uuid.uuid4().hex[:8]}"}
        context.parts.finish("spool", {}, kept)
    return str(kept["name"])


def describe(context: Context, dataset: "Dataset") -> dict[str, Path]:
    """Draw what a person wants to see of a training, and write down what it is; returns artifact path -> file."""
    import yaml

    from pipeline.feed.batch import BatchSource
    from pipeline.figures.figures import learning_rate_curve
    from pipeline.training.first_batch import draw_preview
    from pipeline.training.loop import Plan

    recipe: Recipe = context.recipe
    folder = context.out / "figures"
    folder.mkdir(exist_ok=True)
    draw_preview(recipe, dataset, folder / "first_batch.png")
    plan = Plan.of(recipe, BatchSource(recipe, dataset, "train", training=True).steps)
    learning_rate_curve(*plan.lr_curve(), folder / "learning_rate.png")
    (context.out / "recipe.yaml").write_text(yaml.safe_dump(redact_values(plain(recipe)), sort_keys=False))
    (context.out / "environment.txt").write_text(_environment())
    names = ("recipe.yaml", "environment.txt", "figures/first_batch.png", "figures/learning_rate.png")
    return {name: context.out / name for name in names}


def _environment() -> str:
    """Return the installed packages, as `pip freeze` would list them."""
    from importlib.metadata import distributions

    return "\n".join(sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()}, key=str.lower)) + "\n"
