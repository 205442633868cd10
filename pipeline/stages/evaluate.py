"""Evaluate: the trained model on the whole validation split, in all its views, shared by as many tasks as workers."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base.files import Files
from pipeline.graph import Context, Stage
from pipeline.recipe import Recipe
from pipeline.stages import tracker
from pipeline.stages.train import WEIGHTS

if TYPE_CHECKING:
    from pipeline.shards.dataset import Dataset

STAGE = Stage(
    name="evaluate",
    version=1,
    run="pipeline.stages.evaluate:run",
    keys=("task", "seed", "clip", "model", "augment", "evaluate"),
    inputs=("shard", "train"),
)
SHOWN = 16
"""Predictions in the figures of the best and of the worst."""


def run(context: Context) -> dict[str, Any]:
    """Write `metrics.json`, `per_class.csv`, `confusion.csv`, `predictions.csv` and figures; returns the metrics."""
    from pipeline.shards.dataset import open_dataset
    from pipeline.stages.parallel import run_parallel
    from pipeline.tracking import figures

    recipe: Recipe = context.recipe
    dataset = open_dataset(context.inputs["shard"].files)
    world = recipe.cluster.workers
    trained = context.inputs["train"].files
    parts = []
    for part in run_parallel(predict_part, [(recipe, dataset, trained, rank, world) for rank in range(world)]):
        parts.append(part)
        context.progress(len(parts), world, "parts")
    sample, labels, probabilities = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(sample)
    labels, probabilities = labels[order], probabilities[order]

    measured = measure(probabilities, labels)
    predicted = probabilities.argmax(1)
    confusion = np.zeros((len(dataset.classes),) * 2, np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    _write_tables(context.out, dataset, confusion, measured, labels, predicted, probabilities)
    drawn = context.out / "figures"
    drawn.mkdir(exist_ok=True)
    figures.confusion_matrix(confusion, dataset.classes, drawn / "confusion_matrix.png")
    certainty = probabilities[np.arange(len(labels)), labels]
    for name, chosen in (("worst", np.argsort(certainty)[:SHOWN]), ("best", np.argsort(-certainty)[:SHOWN])):
        figures.predictions(
            _pixels(recipe, dataset, chosen),
            [dataset.classes[i] for i in labels[chosen]],
            [dataset.classes[i] for i in predicted[chosen]],
            probabilities[chosen].max(1),
            drawn / f"{name}_predictions.png",
        )
    _track(context, measured)
    return measured


def measure(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """`loss`, `top1`, `top5` of probabilities [N, K] against labels [N], by the same functions as in training."""
    import torch

    from pipeline.tasks import classification

    sums = classification.sums(torch.from_numpy(probabilities), torch.from_numpy(labels), torch.ones(len(labels)))
    return classification.metrics(sums)


def predict_part(
    recipe: Recipe, dataset: "Dataset", trained: Files, rank: int, world: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """sample int64 [n], label int64 [n], probabilities float32 [n, K] of this rank's part of the validation split."""
    from contextlib import closing

    import torch

    from pipeline.feed.batch import BatchSource
    from pipeline.feed.local import LocalFeed
    from pipeline.training.model import load_model
    from pipeline.training.step import Normalize, predict

    dataset.fetch("val")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_model(recipe, len(dataset.classes), trained.file(WEIGHTS), device)
    normalize = Normalize.of(recipe, device)
    source = BatchSource(
        recipe, dataset, "val", rank, world, num_clips=recipe.evaluate.clips, num_crops=recipe.evaluate.crops
    )
    rows = []
    requests = [(0, k) for k in range(source.steps)]
    with closing(LocalFeed(source, requests, recipe.feed.workers, recipe.feed.timeout_s)) as feed:
        for batch in feed:
            arrays = batch.arrays
            counts = arrays["weight"] > 0
            probabilities = predict(model, arrays["pixels"], normalize, recipe).cpu().numpy()
            rows.append((arrays["sample"][counts].copy(), arrays["label"][counts].copy(), probabilities[counts]))
    sample, label, probability = (np.concatenate(columns) for columns in zip(*rows, strict=True))
    return sample, label, probability


def _pixels(recipe: Recipe, dataset: "Dataset", samples: np.ndarray) -> np.ndarray:
    """The evaluation's first view of some samples, uint8 [n, (T,) H, W, 3]."""
    from pipeline.feed.batch import BatchMaker, BatchSource

    maker = BatchMaker(BatchSource(recipe, dataset, "val"))
    ends = np.cumsum(dataset.split("val").counts)
    shards = np.searchsorted(ends, samples, side="right")
    indices = samples - ends[shards] + dataset.split("val").counts[shards]
    views = [
        maker.views(maker.reader.read(int(shard), int(index)), 0, int(sample))[0]
        for shard, index, sample in zip(shards, indices, samples, strict=True)
    ]
    return np.stack(views)


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


def _track(context: Context, measured: dict[str, float]) -> None:
    """Add the metrics, tables and figures to the training's MLflow run."""
    run_id = tracker.open_run(context, context.inputs["train"].facts["mlflow_run_id"])
    with tracker.writing(context, run_id) as writer:
        writer.points.remote(0, {f"test/{name}": value for name, value in measured.items()})
    figures = {f"figures/{path.name}": path for path in sorted((context.out / "figures").iterdir())}
    tables = {
        f"evaluation/{name}": context.out / name for name in ("per_class.csv", "confusion.csv", "predictions.csv")
    }
    tracker.log_files(context, run_id, {**figures, **tables})
