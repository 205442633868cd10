"""Evaluate: the trained model on the whole validation split, in all its views, shared by as many tasks as workers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.graph import Context, Stage
from pipeline.recipe import Recipe
from pipeline.stages import tracker
from pipeline.stages.quarantine import QUARANTINE
from pipeline.stages.rows import write_rows
from pipeline.stages.train import WEIGHTS
from pipeline.store import Artifact
from pipeline.tasks import TASKS

if TYPE_CHECKING:
    from pipeline.feed.quarantine import Bad
    from pipeline.shards.dataset import Dataset

STAGE = Stage(
    name="evaluate",
    version=1,
    run="pipeline.stages.evaluate:run",
    keys=("task", "seed", "clip", "model", "augment", "evaluate"),
    inputs=("shard", "train"),
)
COLUMNS = ("sample", "labels", "probabilities")
PART_SAMPLES = 512
"""Another process takes seconds to start: it is worth that for so many samples."""
SHOWN = 16
"""Predictions in the figures of the best and of the worst."""


def run(context: Context) -> dict[str, Any]:
    """Write `metrics.json`, the task's tables and figures, and the best and worst predictions; returns the metrics."""
    import ray

    from pipeline.feed.quarantine import check_bad, rows
    from pipeline.shards.dataset import DATASET_FILE, open_dataset
    from pipeline.stages.micro_batch import with_micro_batch
    from pipeline.tracking import figures
    from pipeline.tracking.fonts import class_names

    trained = context.inputs["train"]
    recipe: Recipe = with_micro_batch(context.recipe, trained.facts.get("micro_batch"))
    context.inputs["shard"].whole(DATASET_FILE)
    dataset = open_dataset(context.inputs["shard"].files)
    writer = tracker.go_on(context, trained)
    world = min(recipe.cluster.workers.max, -(-dataset.split("val").samples // PART_SAMPLES))
    predict = _remote(recipe, fetch_and_predict)
    say = context.progress.say
    parts = _gather(context, [predict.remote(recipe, dataset, trained, rank, world, say) for rank in range(world)])
    bad = {sample: reason for part in parts for sample, reason in part.bad.items()}
    check_bad(bad, recipe.data.max_bad, dataset, "val")
    write_rows(context.out / QUARANTINE, rows(dataset, "val", bad, STAGE.name))
    sample, labels, probabilities = (np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS)
    order = np.argsort(sample)
    sample, labels, probabilities = sample[order], labels[order], probabilities[order]

    task = TASKS[recipe.task.kind]
    certainty = task.certainty(probabilities, labels)
    shown = {
        "worst": np.argsort(certainty, kind="stable")[:SHOWN],
        "best": np.argsort(-certainty, kind="stable")[:SHOWN],
    }
    # Where predictions were made, decoders and transforms are loaded already.
    pixels = _remote(recipe, first_views).remote(recipe, dataset, sample[np.concatenate(list(shown.values()))])
    drawn = context.out / "figures"
    drawn.mkdir(exist_ok=True)
    measured = task.metrics(np.sum([part.sums for part in parts], axis=0))
    measured |= task.write_report(context.out, dataset.classes, sample_keys(dataset, sample), labels, probabilities)
    (context.out / "metrics.json").write_text(json.dumps(measured, indent=1))
    points = {f"test/{name}": value for name, value in measured.items()}
    sent = [tracker.send(writer, 0, points, context.fingerprint)]
    names = tuple(class_names(dataset.classes))
    views = np.split(ray.get(pixels), [len(shown["worst"])])
    for (name, chosen), looks in zip(shown.items(), views, strict=True):
        answers = [task.answer_text(probabilities[i], names) for i in chosen]
        figures.predictions(
            looks,
            [task.truth_text(labels[i], names) for i in chosen],
            [said for said, _ in answers],
            [score for _, score in answers],
            drawn / f"{name}_predictions.png",
        )
    tables = {f"evaluation/{path.name}": path for path in sorted(context.out.glob("*.csv"))}
    sent += [writer.log_files.remote(tables | {f"figures/{path.name}": path for path in sorted(drawn.iterdir())})]
    tracker.settle(*sent)
    tracker.finish(context)
    return {**measured, "quarantined": len(bad)}


@dataclass(frozen=True)
class Part:
    """Predictions: sample int64 [n], labels (the task's targets), probabilities float32 [n, K]; and their `sums`.

    They are what grows most with the classes: 4.4 GB for 50,000 samples of 21,841 classes.

    `bad`: the samples that could not be used, which have no prediction.
    """

    sample: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    sums: np.ndarray
    bad: "Bad"


def fetch_and_predict(
    recipe: Recipe, dataset: "Dataset", trained: Artifact, rank: int, world: int, say: Callable[[str], None]
) -> Part:
    """`predict_part` on a node that may have neither the shards nor the weights yet; ZoetropeError for damaged ones."""
    from pipeline.stages.whole_shards import hashed_beside

    if recipe.feed.kind == "local":
        dataset.fetch("val")  # not shard by shard, while batches wait with their time limit
    with hashed_beside(dataset, ("val",), rank, world):
        return predict_part(recipe, dataset, trained.whole(WEIGHTS), rank, world, say)


def predict_part(
    recipe: Recipe,
    dataset: "Dataset",
    weights: Path,
    rank: int = 0,
    world: int = 1,
    say: Callable[[str], None] = lambda text: None,
) -> Part:
    """This rank's part of the validation split, all views of a sample averaged."""
    from contextlib import closing

    import torch

    from pipeline.feed.batch import BatchSource
    from pipeline.stages.feeds import feeds
    from pipeline.training.model import load_model
    from pipeline.training.step import Normalize, predict

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_model(recipe, len(dataset.classes), weights, device)
    normalize = Normalize.of(recipe, device)
    evaluate = recipe.evaluate
    source = BatchSource(recipe, dataset, "val", rank, world, num_clips=evaluate.clips, num_crops=evaluate.crops)
    predictions = []
    bad: Bad = {}
    task = TASKS[recipe.task.kind]
    total = torch.zeros(task.num_sums(len(dataset.classes)), dtype=torch.float64, device=device)
    with feeds(recipe, say) as make_feed, closing(make_feed(source, range(source.steps), bad)) as feed:
        for batch in feed:
            arrays = batch.arrays
            counts = arrays["weight"] > 0
            probabilities = predict(model, arrays["pixels"], normalize, recipe)
            labels, weight = (torch.from_numpy(arrays[name]).to(device) for name in ("label", "weight"))
            total += task.sums(probabilities, labels, weight)
            predictions.append((arrays["sample"][counts], arrays["label"][counts], probabilities.cpu().numpy()[counts]))
    sample, label, probability = (np.concatenate(columns) for columns in zip(*predictions, strict=True))
    return Part(sample, label, probability, total.cpu().numpy(), bad)


def first_views(recipe: Recipe, dataset: "Dataset", samples: np.ndarray) -> np.ndarray:
    """The evaluation's first view of some samples of the validation split, uint8 [n, (T,) H, W, 3]."""
    from pipeline.feed.batch import BatchMaker, BatchSource

    maker = BatchMaker(BatchSource(recipe, dataset, "val"))
    views = []
    for sample in samples.tolist():
        raw = maker.reader.read(*maker.split.place(sample))
        views.append(maker.view_maker(raw.data, raw.frames, 0, sample)[0])
    return np.stack(views)


def _remote(recipe: Recipe, function: Callable[..., Any]) -> Any:
    """`function` as a Ray task that has what a training worker has: without GPUs of its own it would see none."""
    import ray

    from pipeline.stages.resources import resources

    each = resources(recipe)
    return ray.remote(num_cpus=each["CPU"], num_gpus=each.get("GPU", 0))(function)


def _gather(context: Context, calls: list[Any]) -> list[Part]:
    """The results in their order; what one call raises is raised here, and Ray then ends the others."""
    import ray

    waiting = calls
    while waiting:
        done, waiting = ray.wait(waiting)
        ray.get(done)
        context.progress(len(calls) - len(waiting), len(calls), "parts")
    return list(ray.get(calls))


def sample_keys(dataset: "Dataset", samples: np.ndarray) -> list[str]:
    """The keys of some samples of the validation split."""
    from pipeline.shards.reader import ShardReader

    reader = ShardReader(dataset.files, "val")
    split = dataset.split("val")
    return [reader.read(*split.place(sample)).key for sample in samples.tolist()]
