"""Evaluate: the trained model on the whole validation split, in all its views, shared by as many tasks as workers."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.graph import Context, Stage
from pipeline.recipe import Recipe
from pipeline.stages import tracker
from pipeline.stages.train import WEIGHTS
from pipeline.tasks.metrics import metrics

if TYPE_CHECKING:
    from pipeline.shards.dataset import Dataset

STAGE = Stage(
    name="evaluate",
    version=1,
    run="pipeline.stages.evaluate:run",
    keys=("task", "seed", "clip", "model", "augment", "evaluate"),
    inputs=("shard", "train"),
)
COLUMNS = ("sample", "labels", "probabilities")
TABLES = ("per_class.csv", "confusion.csv", "predictions.csv")
PART_SAMPLES = 512
"""Another process takes seconds to start: it is worth that for so many samples."""
SHOWN = 16
"""Predictions in the figures of the best and of the worst."""


def run(context: Context) -> dict[str, Any]:
    """Write `metrics.json`, `per_class.csv`, `confusion.csv`, `predictions.csv` and figures; returns the metrics."""
    import ray

    from pipeline.shards.dataset import open_dataset
    from pipeline.tracking import figures

    recipe: Recipe = context.recipe
    dataset = open_dataset(context.inputs["shard"].path)
    weights = context.inputs["train"].path / WEIGHTS
    writer = tracker.begin(context, context.fingerprint, context.inputs["train"].facts["mlflow_run_id"])
    world = min(recipe.cluster.workers, -(-dataset.split("val").samples // PART_SAMPLES))
    predict = _remote(recipe, predict_part)
    parts = _gather(context, [predict.remote(recipe, dataset, weights, rank, world) for rank in range(world)])
    sample, labels, probabilities = (np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS)
    order = np.argsort(sample)
    labels, probabilities = labels[order], probabilities[order]

    measured = metrics(np.sum([part.sums for part in parts], axis=0))
    sent = tracker.send(writer, 0, {f"test/{name}": value for name, value in measured.items()})
    predicted = probabilities.argmax(1)
    certainty = probabilities[np.arange(len(labels)), labels]
    shown = {
        "worst": np.argsort(certainty, kind="stable")[:SHOWN],
        "best": np.argsort(-certainty, kind="stable")[:SHOWN],
    }
    # Where predictions were made, decoders and transforms are loaded already.
    pixels = _remote(recipe, first_views).remote(recipe, dataset, np.concatenate(list(shown.values())))
    confusion = np.zeros((len(dataset.classes),) * 2, np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    _write_tables(context.out, dataset, confusion, measured, labels, predicted, probabilities)
    drawn = context.out / "figures"
    drawn.mkdir(exist_ok=True)
    figures.confusion_matrix(confusion, dataset.classes, drawn / "confusion_matrix.png")
    views = np.split(ray.get(pixels), [len(shown["worst"])])
    for (name, chosen), looks in zip(shown.items(), views, strict=True):
        figures.predictions(
            looks,
            [dataset.classes[i] for i in labels[chosen]],
            [dataset.classes[i] for i in predicted[chosen]],
            probabilities[chosen].max(1),
            drawn / f"{name}_predictions.png",
        )
    tables = {f"evaluation/{name}": context.out / name for name in TABLES}
    writer.log_files.remote(tables | {f"figures/{path.name}": path for path in sorted(drawn.iterdir())})
    tracker.settle(sent)
    tracker.finish(context)
    return measured


@dataclass(frozen=True)
class Part:
    """Predictions: sample, labels int64 [n], probabilities float32 [n, K]; and `classification.sums` of them."""

    sample: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    sums: np.ndarray


def predict_part(recipe: Recipe, dataset: "Dataset", weights: Path, rank: int = 0, world: int = 1) -> Part:
    """This rank's part of the validation split, all views of a sample averaged."""
    from contextlib import closing

    import torch

    from pipeline.feed.batch import BatchSource
    from pipeline.feed.local import LocalFeed
    from pipeline.feed.processes import start_fork_server
    from pipeline.tasks import classification
    from pipeline.training.model import load_model
    from pipeline.training.step import Normalize, predict

    if recipe.feed.workers:
        start_fork_server()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_model(recipe, len(dataset.classes), weights, device)
    normalize = Normalize.of(recipe, device)
    evaluate = recipe.evaluate
    source = BatchSource(recipe, dataset, "val", rank, world, num_clips=evaluate.clips, num_crops=evaluate.crops)
    rows = []
    total = torch.zeros(4, dtype=torch.float64, device=device)
    with closing(LocalFeed(source, range(source.steps), recipe.feed.workers, recipe.feed.timeout_s)) as feed:
        for batch in feed:
            arrays = batch.arrays
            counts = arrays["weight"] > 0
            probabilities = predict(model, arrays["pixels"], normalize, recipe)
            labels, weight = (torch.from_numpy(arrays[name]).to(device) for name in ("label", "weight"))
            total += classification.sums(probabilities, labels, weight)
            rows.append((arrays["sample"][counts], arrays["label"][counts], probabilities.cpu().numpy()[counts]))
    sample, label, probability = (np.concatenate(columns) for columns in zip(*rows, strict=True))
    return Part(sample, label, probability, total.cpu().numpy())


def first_views(recipe: Recipe, dataset: "Dataset", samples: np.ndarray) -> np.ndarray:
    """The evaluation's first view of some samples of the validation split, uint8 [n, (T,) H, W, 3]."""
    from pipeline.feed.batch import BatchMaker, BatchSource

    maker = BatchMaker(BatchSource(recipe, dataset, "val"))
    counts = dataset.split("val").counts
    ends = np.cumsum(counts)
    shards = np.searchsorted(ends, samples, side="right")
    indices = samples - ends[shards] + counts[shards]
    views = [
        maker.views(maker.reader.read(int(shard), int(index)), 0, int(sample))[0]
        for shard, index, sample in zip(shards, indices, samples, strict=True)
    ]
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


def _write_tables(
    folder: Path,
    dataset: "Dataset",
    confusion: np.ndarray,
    measured: dict[str, float],
    labels: np.ndarray,
    predicted: np.ndarray,
    probabilities: np.ndarray,
) -> None:
    from pipeline.shards.reader import ShardReader

    (folder / "metrics.json").write_text(json.dumps(measured, indent=1))
    hits, samples, guesses = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    per_class = [
        (name, samples[i], hits[i] / samples[i] if samples[i] else "", hits[i] / guesses[i] if guesses[i] else "")
        for i, name in enumerate(dataset.classes)
    ]
    _write_csv(folder / "per_class.csv", ("class", "samples", "recall", "precision"), per_class)
    rows = [(name, *confusion[i]) for i, name in enumerate(dataset.classes)]
    _write_csv(folder / "confusion.csv", ("class \\ predicted", *dataset.classes), rows)
    reader = ShardReader(dataset.folder, "val")
    counts = dataset.split("val").counts
    keys = [reader.read(shard, index).key for shard in range(len(counts)) for index in range(counts[shard])]
    table = [
        (keys[i], dataset.classes[labels[i]], dataset.classes[predicted[i]], f"{probabilities[i].max():.4f}")
        for i in range(len(labels))
    ]
    _write_csv(folder / "predictions.csv", ("sample", "class", "predicted", "score"), table)


def _write_csv(path: Path, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
