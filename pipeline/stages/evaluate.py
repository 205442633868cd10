"""Evaluate: the trained model on the whole test split, or that of validation, shared by as many tasks as workers."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.cluster import tracker
from pipeline.cluster.described import data_words
from pipeline.graph.plan import Context, Stage
from pipeline.recipe import Recipe
from pipeline.stages.json_lines import write_rows
from pipeline.stages.quarantine import QUARANTINE
from pipeline.stages.train import WEIGHTS
from pipeline.store import Artifact
from pipeline.tasks import task_of
from pipeline.tasks.base import Tally, result_words

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.feed.bad_samples import Bad
    from pipeline.shards.dataset import Dataset
    from pipeline.tasks.base import Answer, Arrays, Fields, Task

STAGE = Stage(
    name="evaluate",
    version=1,
    run="pipeline.stages.evaluate:run",
    keys=("task", "seed", "clip", "model", "augment", "evaluate"),
    inputs=("shard", "train"),
)
PART_SAMPLES = 512
"""Another process takes seconds to start: it is worth that for so many samples."""
MEASURED = {"test": "test", "val": "evaluate"}
"""The splits that may be measured, the first one that there is -> what MLflow's names begin with."""
SHOWN = 16
"""Predictions in the figures of the best and of the worst."""


def run(context: Context) -> dict[str, Any]:
    """Write `metrics.json`, the task's tables and figures, and the best and worst predictions; returns the metrics."""
    import ray

    from pipeline.cluster.micro_batch import with_micro_batch
    from pipeline.feed.bad_samples import check_bad, rows
    from pipeline.figures import figures
    from pipeline.figures.fonts import class_names
    from pipeline.shards.dataset import open_dataset
    from pipeline.shards.shard import DATASET_FILE

    trained = context.inputs["train"]
    recipe: Recipe = with_micro_batch(context.recipe, trained.facts.get("micro_batch"))
    context.inputs["shard"].whole(DATASET_FILE)
    dataset = open_dataset(context.inputs["shard"].files)
    split = measured_split(dataset)
    writer = tracker.resume(context, trained)
    world = min(recipe.cluster.workers.max, -(-dataset.split(split).samples // PART_SAMPLES))
    predict = _remote(recipe, fetch_and_predict)
    say = context.progress.say
    parts = _gather(context, [predict.remote(recipe, dataset, trained, rank, world, say) for rank in range(world)])
    bad = {sample: reason for part in parts for sample, reason in part.bad.items()}
    check_bad(bad, recipe.data.max_bad, dataset, split)
    write_rows(context.out / QUARANTINE, rows(dataset, split, bad, STAGE.name))
    sample, tally = merged(parts)

    task = task_of(recipe, dataset.classes)
    shown = {
        name: np.argsort(score, kind="stable")[:SHOWN].astype(np.int64)
        for name, score in task.shown(tally.rows).items()
    }
    # Where predictions were made, decoders and transforms are loaded already.
    chosen = [sample[i] for i in shown.values()]
    looks = _remote(recipe, pictures).remote(recipe, dataset, trained, np.concatenate(chosen))
    drawn = context.out / "figures"
    drawn.mkdir(exist_ok=True)
    measured, names = task.metrics(tally), sample_names(dataset, sample)
    for remark in task.remarks(tally):
        say(f"evaluate: {remark}")
    measured |= task.report(context.out, names, tally)
    (context.out / "metrics.json").write_text(json.dumps(measured, indent=1))
    points = {f"{MEASURED[split]}/{name}": value for name, value in measured.items()}
    sent = [tracker.send(writer, 0, points, context.fingerprint)]
    display_task = task_of(recipe, tuple(class_names(dataset.classes)))
    seen = iter(ray.get(looks))
    for name, order in shown.items():
        drawings = []
        for i in order:
            pixels, pictured = next(seen)
            row = {n: column[i] for n, column in tally.rows.items()} | pictured
            drawings.append(display_task.compared(pixels, row)._replace(name=names[i]))
        figures.predictions(drawings, drawn / f"{name}_predictions.png")
    tables = {f"evaluation/{path.name}": path for path in sorted(context.out.glob("*.csv"))}
    writer.tell.remote(data_words(dataset), result_words(task, measured))
    sent += [writer.log_files.remote(tables | {f"figures/{path.name}": path for path in sorted(drawn.iterdir())})]
    tracker.wait_until_sent(*sent)
    tracker.finish(context)
    return {**measured, "split": split, "quarantined": len(bad)}


def measured_split(dataset: "Dataset") -> str:
    """Return the split that a trained model is measured on: `test` where there is one."""
    return next(split for split in MEASURED if split in dataset.splits)


@dataclass(frozen=True)
class Part:
    """What one process measured: its samples int64 [n] and the tally of them.

    Rows are what grows most with the classes: 4.4 GB for 50,000 samples of 21,841 classes.

    `bad`: the samples that could not be used, which are not measured.
    """

    sample: np.ndarray
    tally: Tally
    bad: "Bad"


def merged(parts: Sequence[Part]) -> tuple[np.ndarray, Tally]:
    """Return the numbers of all samples, ascending, and the tally of all."""
    sample = np.concatenate([part.sample for part in parts])
    order = np.argsort(sample)
    rows = {name: np.concatenate([part.tally.rows[name] for part in parts])[order] for name in parts[0].tally.rows}
    return sample[order], Tally(np.sum([part.tally.sums for part in parts], axis=0), rows)


def fetch_and_predict(
    recipe: Recipe, dataset: "Dataset", trained: Artifact, rank: int, world: int, say: Callable[[str], None]
) -> Part:
    """Run `predict_part` on a node that may have neither the shards nor the weights yet.

    ZoetropeError for damaged ones.
    """
    from pipeline.cluster.whole_shards import hashed_beside

    if recipe.feed.kind == "local":
        dataset.fetch(measured_split(dataset))  # not shard by shard, while batches wait with their time limit
    with hashed_beside(dataset, (measured_split(dataset),), rank, world):
        return predict_part(recipe, dataset, trained.whole(WEIGHTS), rank, world, say)


def predict_part(
    recipe: Recipe,
    dataset: "Dataset",
    weights: Path,
    rank: int = 0,
    world: int = 1,
    say: Callable[[str], None] = lambda text: None,
) -> Part:
    """Predict this rank's part of the measured split, all views of a sample averaged."""
    from contextlib import closing

    from pipeline.cluster.feeds import feeds
    from pipeline.feed.batch import BatchSource

    evaluate = recipe.evaluate
    split, clips, crops = measured_split(dataset), evaluate.clips, evaluate.crops
    source = BatchSource(recipe, dataset, split, rank, world, num_clips=clips, num_crops=crops)
    rows: dict[str, list[np.ndarray]] = {}
    bad: Bad = {}
    samples, task = [], source.task
    answered, total = _answering(recipe, dataset, weights, task), None
    with feeds(recipe, say) as make_feed, closing(make_feed(source, range(source.steps), bad)) as feed:
        for batch in feed:
            counts = batch.arrays["weight"] > 0
            answer, fields, weight = answered(batch.arrays)
            sums = task.sums(answer, fields, weight)
            total = sums if total is None else total + sums
            samples.append(batch.arrays["sample"][counts])
            for name, column in task.rows(answer, fields).items():
                rows.setdefault(name, []).append(column.cpu().numpy()[counts])
    assert total is not None  # a rank without a sample of its own measures one of weight 0
    columns = {name: np.concatenate(parts) for name, parts in rows.items()}
    return Part(np.concatenate(samples), Tally(total.cpu().numpy(), columns), bad)


def pictures(
    recipe: Recipe, dataset: "Dataset", trained: Artifact, samples: np.ndarray
) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Make the first view of samples of the measured split, uint8 [(T,) H, W, 3], and what is `pictured`."""
    from pipeline.feed.batch import BatchMaker, BatchSource
    from pipeline.feed.ring import new_arrays

    maker = BatchMaker(BatchSource(recipe, dataset, measured_split(dataset)))
    task = maker.source.task
    answered = _answering(recipe, dataset, trained.whole(WEIGHTS), task) if task.rides else None
    found: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
    for sample in samples.tolist():
        raw = maker.reader.read(*maker.split.place(sample))
        if answered is None:
            found.append((maker.view_maker(raw.data, raw.frames, 0, sample)[0], {}))
            continue
        view = maker.view_maker.view(raw.data, task.companions(raw), 0, sample)
        layout = task.layout(*view.pixels.shape[:2])
        fields = new_arrays({name: (dtype, (1, *shape)) for name, (dtype, shape) in layout.items()})
        task.put(fields, 0, raw, view)
        arrays: dict[str, np.ndarray] = {"pixels": view.pixels[None, None], "weight": np.ones(1, np.float32), **fields}
        pictured = task.pictured(*answered(arrays)[:2])
        found.append((view.pixels, {name: column[0].cpu().numpy() for name, column in pictured.items()}))
    return found


def _answering(
    recipe: Recipe, dataset: "Dataset", weights: Path, task: "Task"
) -> "Callable[[Arrays], tuple[Answer, Fields, Tensor]]":
    """Return the function that answers a batch's arrays; with its fields and its samples' weights on the device."""
    import torch

    from pipeline.training.model import load_model
    from pipeline.training.step import Normalize, Running, to_device

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_model(recipe, len(dataset.classes), weights, device)
    run = Running(model, Normalize.of(recipe, device), recipe.train, recipe.evaluate)

    def answered(arrays: "Arrays") -> "tuple[Answer, Fields, Tensor]":
        return task.infer(run, arrays), *to_device(arrays, device)

    return answered


def _remote(recipe: Recipe, function: Callable[..., Any]) -> Any:
    """Wrap `function` as a Ray task that has what a training worker has: without GPUs of its own it would see none."""
    import ray

    from pipeline.cluster.resources import resources

    each = resources(recipe)
    return ray.remote(num_cpus=each["CPU"], num_gpus=each.get("GPU", 0))(function)


def _gather(context: Context, calls: list[Any]) -> list[Part]:
    """Gather the results in their order; what one call raises is raised here, and Ray then ends the others."""
    import ray

    waiting = calls
    while waiting:
        done, waiting = ray.wait(waiting)
        ray.get(done)
        context.progress(len(calls) - len(waiting), len(calls), "parts")
    return list(ray.get(calls))


def sample_names(dataset: "Dataset", samples: np.ndarray) -> list[str]:
    """Return what the source calls some samples of the measured split: paths in it."""
    from pipeline.shards.reader import ShardReader

    split = measured_split(dataset)
    reader, places = ShardReader(dataset.files, split), dataset.split(split)
    return [reader.source(*places.place(sample)) for sample in samples.tolist()]
