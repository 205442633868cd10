"""Train: Ray Train launches the plain loop on every worker, restarts it, and keeps its checkpoints."""

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import ZoetropeError
from pipeline.graph import Context, Stage
from pipeline.recipe import Recipe, plain
from pipeline.redact import redact_values
from pipeline.stages import tracker

if TYPE_CHECKING:
    from ray.train import Checkpoint

    from pipeline.shards.dataset import Dataset

STAGE = Stage(
    name="train",
    version=1,
    run="pipeline.stages.train:run",
    keys=("task", "seed", "clip", "model", "augment", "mixing", "loss", "optimizer", "schedule", "train"),
    inputs=("shard",),
)
WEIGHTS = "model.safetensors"
RENDEZVOUS_TIMEOUT_S = 300
"""A worker that hangs in a collective is noticed after so long."""
POLL_S = "0.2"
"""How often Ray Train's controller looks; `report` waits for it, and every 2 s would cost more than a small epoch."""


def run(context: Context) -> dict[str, Any]:
    """Write `model.safetensors`, `classes.json` and figures; returns the last validation metrics and the MLflow run."""
    from pipeline.shards.dataset import open_dataset
    from pipeline.tracking import runs

    recipe: Recipe = context.recipe
    dataset = open_dataset(context.inputs["shard"].files)
    _check_samples(recipe, dataset)

    # The fingerprint names this training: whoever takes it up again, also after a kill, goes on in the same run.
    kept = context.parts.finished(tracker.RUN_ID_FILE) or {}
    run_id = tracker.open_run(context, kept.get("run_id"))
    if run_id:
        context.parts.finish(tracker.RUN_ID_FILE, {}, {"run_id": run_id})
        profile = {name: split.samples for name, split in dataset.splits.items()}
        source = context.inputs["shard"].url
        runs.log_dataset(context.services.tracking, run_id, recipe.name, dataset.digest, source, profile)
    tracker.log_files(context, run_id, _figures_and_recipe(context, dataset))
    with tracker.writing(context, run_id) as writer:
        checkpoint, metrics = _fit(context, dataset, writer)

    with checkpoint.as_directory() as folder:
        _save_weights(Path(folder), context.out / WEIGHTS)
    (context.out / "classes.json").write_text(json.dumps(dataset.classes, indent=1))
    return {"mlflow_run_id": run_id, **metrics}


def _check_samples(recipe: Recipe, dataset: "Dataset") -> None:
    samples = dataset.split("train").samples
    if samples < recipe.train.batch_size and not recipe.train.keep_last:
        raise ZoetropeError(
            f"train.batch_size: a batch of {recipe.train.batch_size} samples cannot be made of {samples} training samples. "
            f"Set train.batch_size to at most {samples}, or train.keep_last to true."
        )


def _fit(context: Context, dataset: "Dataset", writer: Any) -> tuple["Checkpoint", dict[str, float]]:
    """Run the loop under Ray Train; returns the last checkpoint and the last metrics."""
    # Read by Ray Train when the trainer is made.
    os.environ.update(RAY_TRAIN_HEALTH_CHECK_INTERVAL_S=POLL_S, RAY_CHDIR_TO_TRIAL_DIR="0")
    import ray
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    cluster = context.recipe.cluster
    gpus = cluster.gpus_per_worker
    if gpus == "auto":
        gpus = 1.0 if ray.cluster_resources().get("GPU", 0) >= cluster.workers else 0.0
    storage_path, storage_filesystem = context.parts.ray_storage()
    trainer = TorchTrainer(
        _worker,
        train_loop_config={
            "recipe": context.recipe,
            "dataset": dataset,
            "writer": writer,
            "progress": context.progress,
        },
        torch_config=TorchConfig(timeout_s=RENDEZVOUS_TIMEOUT_S),
        scaling_config=ScalingConfig(
            num_workers=cluster.workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": cluster.cpus_per_worker, **({"GPU": gpus} if gpus else {})},
        ),
        run_config=RunConfig(
            name=context.fingerprint,
            storage_path=storage_path,
            storage_filesystem=storage_filesystem,
            failure_config=FailureConfig(max_failures=cluster.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
        ),
    )
    try:
        result = trainer.fit()
    except TrainingFailedError as error:
        raise _reason(error) from error
    assert result.checkpoint is not None  # the loop ends with one
    assert result.metrics is not None
    return result.checkpoint, dict(result.metrics)


def _worker(config: dict[str, Any]) -> None:
    """The loop on one worker."""
    import ray.train
    import ray.train.torch
    from ray.train import Checkpoint

    from pipeline.training.distributed import Process
    from pipeline.training.loop import train

    recipe, dataset, writer, progress = (config[key] for key in ("recipe", "dataset", "writer", "progress"))
    dataset.fetch("train", "val")  # here, and not shard by shard while the first batches wait with their time limit
    place = ray.train.get_context()
    process = Process(place.get_world_rank(), place.get_world_size(), ray.train.torch.get_device())

    def on_points(step: int, total: int, metrics: dict[str, float]) -> None:
        if process.rank:
            return
        writer.points.remote(step, metrics)
        if "train/loss" in metrics:
            progress(
                step, total, f"loss {metrics['train/loss']:.3f}, {metrics['throughput/samples_per_s']:.0f} samples/s"
            )
        else:
            progress(step, total, f"val top-1 {metrics['val/top1']:.1%}")

    def on_checkpoint(step: int, save: Any, metrics: dict[str, float]) -> None:
        # Ranks report alike, or Ray Train waits for ever; the folder's name tells restarts in other sizes apart.
        name = f"step-{step:09d}-of-{process.world}"
        if process.rank:
            ray.train.report(metrics, checkpoint_dir_name=name)
            return
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder))
            ray.train.report(metrics, checkpoint=Checkpoint.from_directory(folder), checkpoint_dir_name=name)

    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        train(recipe, dataset, process, on_points, on_checkpoint)
        return
    with checkpoint.as_directory() as folder:
        train(recipe, dataset, process, on_points, on_checkpoint, resume=Path(folder))


def _reason(error: Exception) -> ZoetropeError:
    """What ended the training, in words: the loop's own error when it raised one, else the first worker's."""
    failures = list(getattr(error, "worker_failures", {}).values())
    for failure in failures:
        cause: BaseException | None = failure
        while cause is not None:
            if isinstance(cause, ZoetropeError):
                return cause
            cause = getattr(cause, "cause", None) or cause.__cause__
    raise error


def _save_weights(checkpoint: Path, path: Path) -> None:
    from safetensors.torch import save_file

    from pipeline.training.checkpoint import read

    save_file({name: tensor.contiguous() for name, tensor in read(checkpoint)["model"].items()}, str(path))


def _figures_and_recipe(context: Context, dataset: "Dataset") -> dict[str, Path]:
    """Draw what a person wants to see before the training; returns artifact path -> file."""
    import yaml

    from pipeline.feed.batch import BatchMaker, BatchSource
    from pipeline.feed.local import new_arrays
    from pipeline.tracking.figures import contact_sheet, learning_rate_curve
    from pipeline.training.loop import Plan

    recipe: Recipe = context.recipe
    folder = context.out / "figures"
    folder.mkdir(exist_ok=True)
    source = BatchSource(recipe, dataset, "train", training=True)
    arrays = new_arrays(source.layout())
    count, _ = BatchMaker(source).make(0, 0, arrays)
    shown = min(count, 16)
    titles = [dataset.classes[label] for label in arrays["label"][:shown]]
    contact_sheet(arrays["pixels"][:shown, 0], titles, folder / "first_batch.png")
    plan = Plan.of(recipe, source.steps)
    learning_rate_curve(range(plan.total), [plan.lr(step) for step in range(plan.total)], folder / "learning_rate.png")
    (context.out / "recipe.yaml").write_text(yaml.safe_dump(redact_values(plain(recipe)), sort_keys=False))
    (context.out / "environment.txt").write_text(_environment())
    return {
        "recipe.yaml": context.out / "recipe.yaml",
        "environment.txt": context.out / "environment.txt",
        "figures/first_batch.png": folder / "first_batch.png",
        "figures/learning_rate.png": folder / "learning_rate.png",
    }


def _environment() -> str:
    """The installed packages, as `pip freeze` would list them."""
    from importlib.metadata import distributions

    return "\n".join(sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()}, key=str.lower)) + "\n"
