"""One trial, in a process of its own: a real training, that reports every validation with its checkpoint to Ray Tune.

One worker trains in the trial's process; several are started by Ray Train from there.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base import threads
from pipeline.base.errors import ZoetropeError, unknown
from pipeline.base.files import Files, check_seen
from pipeline.cluster.tracker import wait_until_sent
from pipeline.graph.plan import Context
from pipeline.graph.progress import Reporter
from pipeline.recipe import Recipe
from tune.space import trial_recipe, upstream
from tune.tracking import Child

if TYPE_CHECKING:
    from ray.train import Checkpoint

    from pipeline.shards.dataset import Dataset
    from pipeline.training.checkpoint import State

VALUE, EPOCH = "value", "epoch"
TIME = "time"
"""The epoch, but in the last report: pbt does not replace a trial that has nothing left to train."""


@dataclass(frozen=True)
class Job:
    """What all trials of a search have in common."""

    recipe: Recipe
    metric: str
    shards: dict[str, Files]
    """`upstream` of a point -> its data set."""
    folder: Path
    tracker: Any
    start: dict[int, str] = field(default_factory=dict)
    """Trial -> the checkpoint that an earlier attempt of the search has left."""


def run_trial(config: dict[str, Any], job: Job) -> None:
    """Train the recipe of one point. What would fail again alike is reported as the result; all else is raised."""
    from ray import tune

    point = config["point"]
    number, values = int(point["number"]), json.loads(point["values"])
    progress = TrialProgress(job.metric)
    try:
        assert job.recipe.tune is not None
        recipe = trial_recipe(job.recipe, job.recipe.tune, values)
        from pipeline.shards.dataset import open_dataset

        dataset = open_dataset(job.shards[upstream(values)])
        measure_trial(recipe, dataset, progress)
        train = _train_here if job.recipe.tune.trial.workers == 1 else _train_on_workers
        train(dataset, _context(recipe, job, number), job, number, progress)
    except ZoetropeError as error:
        tune.report({VALUE: math.nan, EPOCH: progress.epoch, "failed": str(error)})
        return
    if not progress.finished:  # early stopping has ended it
        tune.report(progress.of(progress.step, progress.metrics, finished=True))


class TrialProgress:
    """What Ray Tune is told after a validation."""

    def __init__(self, metric: str) -> None:
        self.metric, self.epoch, self.step, self.finished = metric, 0.0, 0, False
        self.metrics: dict[str, float] = {}
        self.steps_per_epoch = self.total = 1

    def of(self, step: int, metrics: dict[str, float], finished: bool = False) -> dict[str, Any]:
        """Return the report after `step` steps."""
        if self.metric not in metrics:  # such as the top 5 of four classes
            raise ZoetropeError(f"tune.metric: {unknown('metric', self.metric, metrics)}")
        self.step, self.metrics, self.epoch = step, metrics, step / self.steps_per_epoch
        self.finished = finished or step >= self.total
        shown = {VALUE: metrics[self.metric], EPOCH: self.epoch, "step": step, "metrics": metrics}
        return shown | {"finished": self.finished} | ({} if self.finished else {TIME: self.epoch})


def measure_trial(recipe: Recipe, dataset: "Dataset", progress: TrialProgress) -> None:
    """Enter into `progress` how long the training is. ZoetropeError for one that cannot be done."""
    from pipeline.feed.batch import BatchSource
    from pipeline.stages.train import check_samples
    from pipeline.training.lone import lone_problem
    from pipeline.training.loop import Plan

    check_samples(recipe, dataset)
    if lone := lone_problem(recipe, dataset.split("train").samples):
        raise ZoetropeError(lone)
    progress.steps_per_epoch = BatchSource(recipe, dataset, "train", training=True).steps
    progress.total = Plan.of(recipe, progress.steps_per_epoch).total


def _context(recipe: Recipe, job: Job, number: int) -> Context:
    """Return what a trial works in: a folder of its own in that of the search, which every node sees."""
    check_seen(job.folder)
    folder = job.folder / "trials" / name_of(number)
    for name in ("out", "scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return Context(recipe, {}, folder / "out", folder / "scratch", name_of(number), None, Reporter("trial"), folder, {})


def _train_here(dataset: "Dataset", context: Context, job: Job, number: int, progress: TrialProgress) -> None:
    """Run the loop in this process."""
    import torch
    from ray import tune

    from pipeline.cluster import checkpoints
    from pipeline.cluster.feeds import feeds
    from pipeline.cluster.micro_batch import out_of_memory, while_memory_lacks
    from pipeline.cluster.whole_shards import hashed_beside
    from pipeline.training.checkpoint import read
    from pipeline.training.distributed import Process
    from pipeline.training.loop import train

    threads.as_given()
    child, say = Child(job.tracker, number), context.progress.say
    process = Process(device=torch.device("cuda", 0) if torch.cuda.is_available() and _gpus() else torch.device("cpu"))
    sent: list[Any] = []

    def on_checkpoint(step: int, state: "State", metrics: dict[str, float]) -> None:
        wait_until_sent(*sent)
        with checkpoints.passing(context.parts, "written") as folder:
            state.save(folder)
            tune.report(progress.of(step, metrics), checkpoint=tune.Checkpoint(str(folder)))

    def run(recipe: Recipe) -> None:
        def on_points(step: int, total: int, metrics: dict[str, float]) -> None:
            look()
            sent[:] = [child.send(step, metrics)]

        newest = tune.get_checkpoint()
        kept = _kept(Path(newest.path) if newest else job.start.get(number))
        try:
            with (
                feeds(recipe, say) as make_feed,
                checkpoints.newest_whole(kept, context.parts, process, say) as (_, resume),
                hashed_beside(dataset, ("train", "val")) as look,
            ):
                if resume:
                    done = read(resume)
                    progress.of(int(done["step"]), dict(done["metrics"]))
                    progress.finished = False  # what a killed search was told may be lost
                train(recipe, dataset, process, on_points, on_checkpoint, resume, make_feed=make_feed)
        except Exception as error:
            if lacking := out_of_memory(error, recipe, process):
                raise lacking from error
            raise

    while_memory_lacks(run, context.recipe, dataset.split("train").samples, context.parts, say)


def _kept(newest: str | Path | None) -> "list[Checkpoint]":
    """Return a checkpoint and those before it, as Ray Tune names them; the newest last."""
    from ray.train import Checkpoint

    if newest is None:
        return []
    path = Path(newest)
    return [Checkpoint(str(one)) for one in sorted(path.parent.glob("checkpoint_*")) if one.name <= path.name]


def _gpus() -> bool:
    import ray

    return bool(ray.get_gpu_ids())


def _train_on_workers(dataset: "Dataset", context: Context, job: Job, number: int, progress: TrialProgress) -> None:
    """Run the loop under Ray Train, which finds the checkpoints of an earlier attempt by itself."""
    from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
    from ray.tune.integration.ray_train import TuneReportCallback

    from pipeline.cluster.checkpoints import steps_of
    from pipeline.cluster.fit import fit

    class Forward(TuneReportCallback):
        """Passes what rank 0 reports on to Ray Tune."""

        def after_report(self, run_context: Any, metrics: list[dict[str, float]], checkpoint: Any) -> None:
            reported = progress.of(steps_of(checkpoint), dict(metrics[0]))
            self._training_actor_item_queue.put(reported | {"kept": checkpoint.path})

    class Cleaner(PlacementGroupCleanerCallback):
        """Gives back the room of a controller that died, since the search lives on."""

    callbacks: Any = [Forward(), Cleaner()]
    checkpoint, metrics = fit(context, dataset, Child(job.tracker, number).send, callbacks)
    progress.of(steps_of(checkpoint), metrics)
    progress.finished = False  # this process has told nothing: Ray Train's controller has


def name_of(number: int) -> str:
    """Return the name of a trial's folder."""
    return f"trial-{number:04d}"
