"""The training loop under Ray Train, which launches it on every worker, restarts it, and keeps its checkpoints."""

import os
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import ray.train
import ray.train.collective
import ray.train.torch
from ray.train import (
    Checkpoint,
    CheckpointConfig,
    CheckpointConsistencyMode,
    FailureConfig,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
    UserCallback,
)
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

from pipeline.base import threads
from pipeline.base.errors import ZoetropeError
from pipeline.cluster.checkpoint_note import CopyNote, mend, mend_objects
from pipeline.cluster.micro_batch import out_of_memory, while_memory_lacks
from pipeline.cluster.resources import resources
from pipeline.cluster.tracker import wait_until_sent
from pipeline.cluster.tries import SameErrorTwice, Tries, deaths, failure_words
from pipeline.cluster.waiting import Waiting
from pipeline.graph.plan import Context
from pipeline.store import open_store
from pipeline.store.objects import Objects

if TYPE_CHECKING:
    from pipeline.shards.dataset import Dataset
    from pipeline.training.checkpoint import State

RENDEZVOUS_TIMEOUT_S = 300
"""A worker that hangs in a collective is noticed after so long."""
POLL_S = "0.2"
"""How often Ray Train's controller looks; `report` waits for it, and every 2 s would cost more than a small epoch."""
START_S = "20"
"""For as many workers as there seemed to be room for. Just after a node was lost Ray still counts it; then fewer start.
Workers of a fixed number cannot be fewer: they wait, for machines to start, as long as it takes."""
MOST_KEPT = 2
COMMIT_S = 120.0
"""For the last checkpoint to be written when a worker ends by an error."""


class Trainer(ray.train.torch.TorchTrainer):
    """Leaves Ctrl-C to us: Ray Train's own answer to it ends the process in mid-task, and Ray tells that as a crash.

    Nor does it start what no run needs, a process each: what hands Ray Data's datasets to the workers, and what gives
    back the room of a controller that died, which `pipeline.graph.execute` does.
    """

    unused = (DatasetsCallback, PlacementGroupCleanerCallback)

    def _register_sigint_handler(self, controller: Any) -> None:
        pass

    def _create_default_callbacks(self) -> list[Any]:
        made = super()._create_default_callbacks()  # type: ignore[misc]  # its hints are of Ray Train V1
        return [one for one in made if type(one) not in self.unused]


def fit(
    context: Context, dataset: "Dataset", send: Callable[..., Any], callbacks: Sequence[UserCallback] = ()
) -> tuple[Checkpoint, dict[str, float]]:
    """Run the loop to its end; the last checkpoint and the last metrics. ZoetropeError when it fails.

    `send(step, metrics)` takes the points, returns at once, and gives what `wait_until_sent` waits for; it travels to
    the workers. `callbacks` hear of every report, beside Ray Train.
    """
    return while_memory_lacks(
        lambda recipe: _fit(replace(context, recipe=recipe), dataset, send, callbacks),
        context.recipe,
        dataset.split("train").samples,
        context.parts,
        context.progress.say,
    )


def _fit(
    context: Context, dataset: "Dataset", send: Callable[..., Any], callbacks: Sequence[UserCallback]
) -> tuple[Checkpoint, dict[str, float]]:
    # Read when the trainer is made.
    os.environ.update(RAY_TRAIN_HEALTH_CHECK_INTERVAL_S=POLL_S, RAY_CHDIR_TO_TRIAL_DIR="0")
    cluster = context.recipe.cluster
    workers = cluster.workers
    if workers.elastic:
        os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", START_S)
    each = resources(context.recipe)
    storage_path, storage_filesystem = context.parts.ray_storage()
    say = context.progress.say
    ours: list[Any] = [Tries(say, cluster.max_failures), Waiting(context.recipe, say)]
    if context.parts.shared:
        notes = Path(storage_path, context.fingerprint)
        ours.append(CopyNote(notes))
        mended = mend(notes)
    else:
        mended = mend_objects(Objects(f"{context.parts.ray_url}/{context.fingerprint}"))
    if mended:
        say(mended)
    scaling: Any = ScalingConfig  # its hints, and those of `callbacks`, are of Ray Train V1
    trainer = Trainer(
        train_as_worker,
        train_loop_config={
            "recipe": context.recipe,
            "dataset": dataset,
            "send": send,
            "progress": context.progress,
            "parts": context.parts,
            "name": context.fingerprint,
        },
        torch_config=ray.train.torch.TorchConfig(timeout_s=RENDEZVOUS_TIMEOUT_S),
        scaling_config=scaling(
            num_workers=(workers.min, workers.max) if workers.elastic else workers.min,
            use_gpu="GPU" in each,
            resources_per_worker=each,
            elastic_resize_monitor_interval_s=cluster.resize_s,
        ),
        run_config=RunConfig(
            name=context.fingerprint,  # by which Ray Train finds the checkpoints of an earlier attempt
            storage_path=storage_path,
            storage_filesystem=storage_filesystem,
            failure_config=FailureConfig(max_failures=cluster.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=MOST_KEPT),
            callbacks=[*ours, *callbacks],  # type: ignore[list-item]  # its hint is of Ray Train V1
        ),
    )
    try:
        result = trainer.fit()
    except TrainingFailedError as error:
        raise reason(error, cluster.max_failures) from error
    if result.checkpoint is None or result.metrics is None:
        raise RuntimeError("the training ended without a checkpoint")
    return result.checkpoint, result.metrics


def train_as_worker(config: dict[str, Any]) -> None:
    """Run the loop on one worker."""
    from pipeline.cluster import checkpoints
    from pipeline.cluster.feeds import feeds
    from pipeline.cluster.notice import Notice
    from pipeline.cluster.shard_prefetch import shards_ahead
    from pipeline.cluster.whole_shards import hashed_beside
    from pipeline.tasks import task_of
    from pipeline.tasks.base import result_words
    from pipeline.training.distributed import Process
    from pipeline.training.loop import train
    from pipeline.training.start import fetch_start

    threads.as_given()
    recipe, dataset, send, progress = (config[key] for key in ("recipe", "dataset", "send", "progress"))
    parts = config["parts"]
    task = task_of(recipe)
    place = ray.train.get_context()
    process = Process(place.get_world_rank(), place.get_world_size(), ray.train.torch.get_device())

    sent: list[Any] = []  # of one caller, so with the last one all are there

    def on_points(step: int, total: int, metrics: dict[str, float]) -> None:
        look()
        at(step)
        if process.rank:
            return
        sent[:] = [send(step, metrics)]
        if "train/loss" in metrics:
            note = f"loss {metrics['train/loss']:.3f}, {metrics['throughput/samples_per_s']:.0f} samples/s"
        else:
            note = f"val {result_words(task, {name.removeprefix('val/'): value for name, value in metrics.items()})}"
        progress(step, total, note)

    def on_checkpoint(step: int, state: "State", metrics: dict[str, float]) -> None:
        # Ranks report alike, or Ray Train waits for ever.
        name = checkpoints.name_of(step, process.world, kept)
        if process.rank:
            ray.train.report(metrics, checkpoint_dir_name=name)
        else:
            writer.report(name, state, metrics, partial(wait_until_sent, sent[0]))

    writer = checkpoints.Writer(parts, config["name"], open_store(recipe.store).in_words)
    asked = Notice(process, recipe.cluster.workers.max)
    kept = [one.checkpoint for one in ray.train.get_all_reported_checkpoints()]
    beside = place.get_local_world_size()
    is_read_here = recipe.feed.kind == "local"
    try:
        with (
            checkpoints.newest_whole(kept, parts, process, progress.say) as (newest, resume),
            feeds(recipe, progress.say, beside) as make_feed,
            hashed_beside(dataset, ("train", "val"), process.rank, process.world) as look,
            shards_ahead(recipe, dataset, process, beside, checkpoints.steps_of(newest), progress.say)
            if is_read_here
            else nullcontext(lambda step: None) as at,
        ):
            if not resume and not process.rank:
                fetch_start(recipe, progress.say)
            ray.train.collective.barrier()  # torch's own end after RENDEZVOUS_TIMEOUT_S; fetching may take longer
            if resume and not process.rank:
                progress.say(f"train: goes on after {checkpoints.steps_of(newest)} steps; workers: {process.world}")
            train(recipe, dataset, process, on_points, on_checkpoint, resume, asked, progress.say, make_feed)
    except Exception as error:
        # A checkpoint that is being written is not lost with this try: the next one goes on from it.
        with suppress(ray.exceptions.RayError):
            ray.train.get_all_reported_checkpoints(CheckpointConsistencyMode.COMMITTED, COMMIT_S)
        if lacking := out_of_memory(error, recipe, process):
            raise lacking from error
        error.add_note(traceback.format_exc())  # a traceback does not travel by itself
        raise


def reason(error: TrainingFailedError, max_failures: int) -> Exception:
    """Return what ended the training, in words: the loop's own error, else a worker's death,
    else what a worker raised.
    """
    own = getattr(error, "controller_failure", None)
    if isinstance(own, ZoetropeError | SameErrorTwice):
        return own
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    for failure in failures.values():
        if isinstance(failure, ZoetropeError):
            return failure
    if deaths(failures):
        return ZoetropeError(
            f"{failure_words(failures)}, and that once more than cluster.max_failures = {max_failures} allows. "
            "The same command goes on from the last checkpoint."
        )
    return RuntimeError(failure_words(failures)) if failures else error
