"""Evaluate: the trained model on the whole test split, or that of validation, shared by as many tasks as workers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base import threads
from pipeline.cluster import tracker
from pipeline.cluster.described import data_words
from pipeline.graph.plan import Context, Stage
from pipeline.recipe import Recipe
from pipeline.stages import evaluation
from pipeline.stages.json_lines import write_rows
from pipeline.stages.measure import (
    MEASURED,
    Part,
    Trained,
    measured_split,
    merged,
    pictures,
    predict_part,
    sample_names,
)
from pipeline.stages.quarantine import QUARANTINE
from pipeline.stages.train import CURVES, STATISTICS, WEIGHTS
from pipeline.store import Artifact
from pipeline.tasks import task_of
from pipeline.tasks.base import score_words
from pipeline.training.statistics import with_statistics

if TYPE_CHECKING:
    from pipeline.shards.dataset import Dataset

STAGE = Stage(
    name="evaluate",
    version=1,
    run="pipeline.stages.evaluate:run",
    keys=("task", "seed", "clip", "model", "augment", "evaluate"),
    late=("data.channels", "data.bits"),
    inputs=("shard", "train"),
)
PART_SAMPLES = 512
"""Another process takes seconds to start: it is worth that for so many samples."""

GRIDS = ("confusion_matrix", "worst_predictions")
"""Figures that MLflow shows of several runs side by side."""


def run(context: Context) -> dict[str, Any]:
    """Write `metrics.json`, the task's tables and figures, and the best and worst predictions; returns the metrics."""
    import ray

    from pipeline.cluster.micro_batch import with_micro_batch
    from pipeline.feed.bad_samples import check_bad, rows
    from pipeline.shards.dataset import open_dataset
    from pipeline.shards.shard import DATASET_FILE

    trained = context.inputs["train"]
    recipe: Recipe = with_micro_batch(context.recipe, trained.facts.get("micro_batch"))
    recipe = with_statistics(recipe, trained.facts.get(STATISTICS))
    context.inputs["shard"].whole(DATASET_FILE)
    dataset = open_dataset(context.inputs["shard"].files)
    split = measured_split(dataset)
    writer = tracker.resume(context, trained)
    world = min(recipe.cluster.workers.max, -(-dataset.split(split).samples // PART_SAMPLES))
    predict = _remote(recipe, fetch_and_predict)
    say = context.progress.say

    def predicted(of: str) -> list[Part]:
        return _gather(context, [predict.remote(recipe, dataset, trained, i, world, say, of) for i in range(world)])

    parts = predicted(split)
    bad = {sample: reason for part in parts for sample, reason in part.bad.items()}
    check_bad(bad, recipe.data.max_bad, dataset, split)
    write_rows(context.out / QUARANTINE, rows(dataset, split, bad, STAGE.name))
    sample, tally = merged(parts)

    task, names = task_of(recipe, dataset.classes), sample_names(dataset, sample)
    # What a temperature is fitted on must not be what it is tried on.
    fitted_on = merged(predicted("val"))[1].rows if task.has_temperature and split == "test" else None
    chosen = evaluation.choose(task, tally)
    # Where predictions were made, decoders and transforms are loaded already.
    looks = _remote(recipe, fetch_and_show).remote(recipe, dataset, trained, sample[chosen.places])
    for remark in task.remarks(tally):
        say(f"evaluate: {remark}")
    measured = evaluation.write_tables(context.out, task, names, tally)
    points = {f"{MEASURED[split]}/{name}": value for name, value in measured.items()}
    sent = [tracker.send(writer, 0, points, context.fingerprint)]
    curves = trained.facts.get(CURVES)
    if lack := evaluation.draw(
        context.out, recipe, dataset, split, names, tally, chosen, ray.get(looks), curves, fitted_on
    ):
        say(f"evaluate: {lack}")
    tables = {f"evaluation/{path.name}": path for path in sorted(context.out.glob("*.csv"))}
    figures = {f"figures/{path.name}": path for path in sorted((context.out / "figures").glob("*.png"))}
    facts = {**measured, "split": split, "quarantined": len(bad)}
    writer.tell.remote(data_words(dataset), score_words(task, facts))
    grids = {path.stem: path for path in figures.values() if path.stem in GRIDS}
    sent += [writer.log_files.remote(tables | figures), writer.log_images.remote(grids)]
    tracker.wait_until_sent(*sent)
    tracker.finish(context)
    return facts


def fetch_and_predict(
    recipe: Recipe,
    dataset: "Dataset",
    trained: Artifact,
    rank: int,
    world: int,
    say: Callable[[str], None],
    split: str | None = None,
) -> Part:
    """Run `predict_part` on a node that may have neither the shards nor the weights yet.

    ZoetropeError for damaged ones.
    """
    from pipeline.cluster.whole_shards import hashed_beside

    threads.as_given()
    split = split or measured_split(dataset)
    if recipe.feed.kind == "local":
        dataset.fetch(split)  # not shard by shard, while batches wait with their time limit
    with hashed_beside(dataset, (split,), rank, world):
        return predict_part([Trained(recipe, trained.whole(WEIGHTS))], dataset, rank, world, say, split)


def fetch_and_show(
    recipe: Recipe, dataset: "Dataset", trained: Artifact, samples: np.ndarray
) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Run `pictures` on a node that may not have the weights yet. ZoetropeError for damaged ones."""
    threads.as_given()
    return pictures([Trained(recipe, trained.whole(WEIGHTS))], dataset, samples)


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
