"""The training loop: plain PyTorch that fits on a screen. It runs with or without Ray around it."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn

from pipeline.base.keyed import seed64
from pipeline.base.place import noting_steps
from pipeline.base.redact import redact_values
from pipeline.feed.bad_samples import Bad
from pipeline.feed.batch import BatchSource
from pipeline.feed.local import MakeFeed, local_feed
from pipeline.recipe import Recipe, plain
from pipeline.recipe.mixing import WHOLE
from pipeline.shards.dataset import Dataset
from pipeline.tasks.base import Tally, Task
from pipeline.training import checkpoint
from pipeline.training.distributed import Process, add_up, agree, share_buffers
from pipeline.training.learner import Learner
from pipeline.training.objective import Objective
from pipeline.training.optimizer import set_lr
from pipeline.training.rate import Rate
from pipeline.training.rows import counted, in_order
from pipeline.training.scaling import scaled_lr
from pipeline.training.step import Normalize, Running, check_finite, to_device, train_step

LOG_EVERY_STEPS = 10

OnPoints = Callable[[int, int, dict[str, float]], None]
"""Called on every rank with the steps done, the steps in all, and metrics over all ranks."""
OnCheckpoint = Callable[[int, checkpoint.State, dict[str, float]], None]
"""Called on every rank with the next step, what the checkpoint holds, and metrics."""
Asked = Callable[[], bool]
"""Called on every rank every `LOG_EVERY_STEPS`: whether a checkpoint is asked for now, the same answer on all ranks."""


@dataclass(frozen=True)
class Plan:
    """The training in optimizer steps."""

    steps_per_epoch: int
    total: int
    checkpoint_every: int
    evaluate_every: int
    peak_lr: float
    factor: Rate
    mix_until: int

    @classmethod
    def of(cls, recipe: Recipe, steps_per_epoch: int) -> "Plan":
        """Turn the recipe's durations into steps and its learning rate into that of the global batch."""
        train, batch = recipe.train, recipe.train.batch_size
        total = max(1, train.duration.steps(steps_per_epoch, batch))
        return cls(
            steps_per_epoch,
            total,
            max(1, train.checkpoint.steps(steps_per_epoch, batch)),
            max(1, train.evaluate.steps(steps_per_epoch, batch)),
            scaled_lr(recipe.optimizer.lr, batch, recipe.optimizer.base_batch, recipe.optimizer.scaling),
            Rate(recipe, steps_per_epoch, total),
            getattr(recipe.mixing, "until", WHOLE).steps(steps_per_epoch, batch, total),
        )

    def lr(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.peak_lr * self.factor(step)

    def bias_lr(self, step: int) -> float | None:
        """Return the learning rate of biases of a step, where it is another."""
        factor = self.factor.biases(step)
        return None if factor is None else self.peak_lr * factor

    def lr_curve(self) -> tuple[range, list[float]]:
        """Return steps and their learning rates as far as they are known beforehand, at most some 2,000, to draw."""
        steps = range(0, self.total, max(1, self.total // 2000))
        return steps, [self.peak_lr * self.factor.planned(step) for step in steps]


def train(
    recipe: Recipe,
    dataset: Dataset,
    process: Process,
    on_points: OnPoints,
    on_checkpoint: OnCheckpoint,
    resume: Path | None = None,
    asked: Asked = lambda: False,
    say: Callable[[str], None] = lambda text: None,
    make_feed: MakeFeed = local_feed,
) -> dict[str, float]:
    """Train to the end, from the start or from the checkpoint in `resume`; returns the last validation metrics."""
    source = BatchSource(recipe, dataset, "train", process.rank, process.world, training=True)
    plan = Plan.of(recipe, source.steps)
    learner = Learner.of(recipe, dataset.classes, process, resumes=resume is not None, say=say)
    bad: dict[str, Bad] = {"train": {}, "val": {}}
    parts = learner.parts | plan.factor.parts
    start, metrics, bad = checkpoint.restore(resume, parts) if resume else (0, {}, bad)
    model = learner.parallel(process, recipe.train.compile)
    normalize = Normalize.of(recipe, process.device)
    mixing = Objective.of(recipe, dataset, process.device)
    unmixed = replace(mixing, mixes=False)
    meter = Meter(process, source.task)

    written = redact_values(plain(recipe))
    steps = range(start, start if learner.has_ended else plan.total)
    with closing(make_feed(source, steps, bad["train"])) as feed, noting_steps(start) as reached:
        for step, batch in zip(steps, feed, strict=True):
            place = source.place(step)
            torch.manual_seed(seed64(recipe.seed, "step", *place, process.rank))
            set_lr(learner.optimizer, plan.lr(step), plan.bias_lr(step), plan.factor.momentum(step))
            learner.start_step(model)
            objective = mixing if step < plan.mix_until else unmixed
            meter.add(train_step(model, learner, batch.arrays, batch.samples, place, normalize, objective, process))

            reached.steps = done = step + 1
            at_log = done % LOG_EVERY_STEPS == 0
            at_checkpoint = done % plan.checkpoint_every == 0 or done == plan.total or (at_log and asked())
            # Before each checkpoint too: none is written of a training that has diverged, and one that goes on from
            # there measures over the same steps as it would have undisturbed.
            if at_log or at_checkpoint:
                measured = meter.read(feed.waited_s)
                check_finite(measured["train/loss"], step, recipe.optimizer.lr)
                on_points(done, plan.total, {**measured, "lr": plan.lr(step), "epoch": done / plan.steps_per_epoch})
                plan.factor.trained(done, measured)
            if done % plan.evaluate_every == 0 or done == plan.total:
                began_s = time.perf_counter()
                metrics = evaluate(learner.measured, recipe, dataset, process, normalize, bad["val"], make_feed)
                on_points(done, plan.total, metrics)
                plan.factor.validated(done, metrics)
                metrics = learner.keep_best(metrics)
                meter.leave_out(time.perf_counter() - began_s)
            if at_checkpoint or learner.has_ended:
                agree(bad, process)
                feed.apply_bad()
                on_checkpoint(done, checkpoint.State.of(parts, done, metrics, bad, written), metrics)
            if learner.has_ended:
                break
    return metrics


def evaluate(
    model: nn.Module,
    recipe: Recipe,
    dataset: Dataset,
    process: Process,
    normalize: Normalize,
    bad: Bad,
    make_feed: MakeFeed = local_feed,
) -> dict[str, float]:
    """Measure the validation split with one view a sample, every sample once, the work shared by all processes.

    Samples in `bad`, and those that are found to belong there, are left out.
    """
    share_buffers(model, process)
    model.eval()
    source = BatchSource(recipe, dataset, "val", process.rank, process.world)
    task, run = source.task, Running(model, normalize, recipe.train)
    total = torch.zeros((), dtype=torch.float64, device=process.device)
    rows = []
    with closing(make_feed(source, range(source.steps), bad)) as feed:
        for batch in feed:
            fields, weights = to_device(batch.arrays, process.device)
            answer = task.infer(run, batch.arrays)
            total = total + task.sums(answer, fields, weights)
            if task.by_rows:
                rows.append(counted(task.rows(answer, fields), batch.arrays))
    sums = add_up(total, process).cpu().numpy()
    measured = task.metrics(Tally(sums, in_order(rows, process) if task.by_rows else {}))
    return {f"val/{name}": value for name, value in measured.items()}


class Meter:
    """Sums between two log lines, over all processes. Training waits for the device only when it is read."""

    def __init__(self, process: Process, task: Task) -> None:
        self.process, self.task = process, task
        self.waited_before_s = 0.0
        self.zero = torch.zeros((), dtype=torch.float64, device=process.device)
        self.total, self.since = self.zero, time.perf_counter()

    def add(self, sums: Tensor) -> None:
        """Count one step's sums."""
        self.total = self.total + sums

    def leave_out(self, seconds: float) -> None:
        """Do not count time that went to something else than training."""
        self.since += seconds

    def read(self, waited_s: float) -> dict[str, float]:
        """Read training metrics since the last reading: `samples/s` of all processes, `data
        wait` as a share of the time.
        """
        sums = add_up(self.total, self.process).cpu().numpy()
        means = self.task.metrics(Tally(sums))
        elapsed = time.perf_counter() - self.since
        result = {
            **{f"train/{name}": means[name] for name in self.task.in_training},
            "throughput/samples_per_s": float(sums[-1]) / elapsed,
            "throughput/data_wait": (waited_s - self.waited_before_s) / elapsed,
            "memory/process_gib": psutil.Process().memory_info().rss / 2**30,
        }
        if self.process.device.type == "cuda":
            result["memory/gpu_peak_gib"] = torch.cuda.max_memory_allocated(self.process.device) / 2**30
        self.waited_before_s = waited_s
        self.total, self.since = self.zero, time.perf_counter()
        return result
