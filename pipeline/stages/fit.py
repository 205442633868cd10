"""The training loop under Ray Train, which launches it on every worker, restarts it, and keeps its checkpoints."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import ray.train
import ray.train.torch
from ray.train import (
    Checkpoint,
    CheckpointConfig,
    FailureConfig,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
    UserCallback,
)

from pipeline.base.errors import ZoetropeError
from pipeline.graph import Context
from pipeline.stages.resources import resources
from pipeline.stages.tracker import send, settle

if TYPE_CHECKING:
    from pipeline.shards.dataset import Dataset

RENDEZVOUS_TIMEOUT_S = 300
"""A worker that hangs in a collective is noticed after so long."""
POLL_S = "0.2"
"""How often Ray Train's controller looks; `report` waits for it, and every 2 s would cost more than a small epoch."""
MOST_KEPT = 2


class RaiseAtOnce(UserCallback):
    """Ends a training whose error will come again. Ray Train retries whatever a worker raises, `max_failures` times."""

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Raised in the controller, which takes an error of its own as final."""
        for error in worker_exceptions.values():
            if isinstance(error, ZoetropeError):
                raise error


class Trainer(ray.train.torch.TorchTrainer):
    """Leaves Ctrl-C to us: Ray Train's own answer to it ends the process in mid-task, and Ray tells that as a crash."""

    def _register_sigint_handler(self, controller: Any) -> None:
        pass


def fit(context: Context, dataset: "Dataset", tracker: Any) -> tuple[Path, dict[str, float]]:
    """Run the loop to its end; the folder of the last checkpoint and the last metrics. ZoetropeError when it fails."""
    # Read when the trainer is made.
    os.environ.update(RAY_TRAIN_HEALTH_CHECK_INTERVAL_S=POLL_S, RAY_CHDIR_TO_TRIAL_DIR="0")
    cluster = context.recipe.cluster
    each = resources(context.recipe)
    trainer = Trainer(
        _work,
        train_loop_config={
            "recipe": context.recipe,
            "dataset": dataset,
            "tracker": tracker,
            "progress": context.progress,
        },
        torch_config=ray.train.torch.TorchConfig(timeout_s=RENDEZVOUS_TIMEOUT_S),
        scaling_config=ScalingConfig(num_workers=cluster.workers, use_gpu="GPU" in each, resources_per_worker=each),
        run_config=RunConfig(
            name=context.fingerprint,  # by which Ray Train finds the checkpoints of an earlier attempt
            storage_path=str(context.scratch / "ray"),
            failure_config=FailureConfig(max_failures=cluster.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=MOST_KEPT),
            callbacks=[RaiseAtOnce()],  # type: ignore[list-item]  # its hint is of Ray Train V1
        ),
    )
    try:
        result = trainer.fit()
    except TrainingFailedError as error:
        raise reason(error, cluster.max_failures) from error
    if result.checkpoint is None or result.metrics is None:
        raise RuntimeError("the training ended without a checkpoint")
    return Path(result.checkpoint.path), result.metrics


def _work(config: dict[str, Any]) -> None:
    """The loop on one worker."""
    import torch

    from pipeline.training.distributed import Process
    from pipeline.training.loop import train

    recipe, dataset, tracker, progress = (config[key] for key in ("recipe", "dataset", "tracker", "progress"))
    place = ray.train.get_context()
    process = Process(place.get_world_rank(), place.get_world_size(), ray.train.torch.get_device())

    sent: list[Any] = []  # of one caller, so with the last one all are there

    def on_points(step: int, total: int, metrics: dict[str, float]) -> None:
        if process.rank:
            return
        sent[:] = [send(tracker, step, metrics)]
        if "train/loss" in metrics:
            note = f"loss {metrics['train/loss']:.3f}, {metrics['throughput/samples_per_s']:.0f} samples/s"
        else:
            note = f"val top-1 {metrics['val/top1']:.1%}"
        progress(step, total, note)

    def on_checkpoint(step: int, save: Callable[[Path], None], metrics: dict[str, float]) -> None:
        # Ranks report alike, or Ray Train waits for ever; the folder's name tells restarts in other sizes apart.
        name = f"step-{step:09d}-of-{process.world}"
        if process.rank:
            ray.train.report(metrics, checkpoint_dir_name=name)
            return
        settle(sent[0])
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder))
            ray.train.report(metrics, checkpoint=Checkpoint.from_directory(folder), checkpoint_dir_name=name)

    checkpoint = ray.train.get_checkpoint()
    try:
        if checkpoint is None:
            train(recipe, dataset, process, on_points, on_checkpoint)
            return
        with checkpoint.as_directory() as folder:
            train(recipe, dataset, process, on_points, on_checkpoint, resume=Path(folder))
    except torch.OutOfMemoryError as error:
        raise ZoetropeError(
            f"the memory of {process.device} does not suffice: {str(error).splitlines()[0]} "
            "Set train.micro_batch (the batch stays what it is, in smaller parts) or take more cluster.workers."
        ) from error


def reason(error: TrainingFailedError, max_failures: int) -> Exception:
    """What ended the training, in words: the loop's own error, else a worker's death, else what a worker raised."""
    own = getattr(error, "controller_failure", None)
    if isinstance(own, ZoetropeError):
        return own
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    for failure in failures.values():
        if isinstance(failure, ZoetropeError):
            return failure
    for rank, failure in failures.items():
        # The others see it as a lost connection.
        if isinstance(getattr(failure, "health_check_failure", None), ray.exceptions.RayError):
            return ZoetropeError(
                f"training worker {rank} died (killed, out of memory, or a crash in native code), and that once more "
                f"than cluster.max_failures = {max_failures} allows. The same command goes on from the last checkpoint."
            )
    for rank, failure in failures.items():
        first = (str(failure).strip() or "no message").splitlines()[0]
        return RuntimeError(f"training worker {rank} failed: {type(failure).__name__}: {first}")
    return error
