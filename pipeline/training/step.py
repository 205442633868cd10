"""One optimizer step, and one forward without gradients."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.base.errors import ZoetropeError
from pipeline.recipe import Recipe
from pipeline.shards.order import rank_slice
from pipeline.tasks import TASKS
from pipeline.training.distributed import Process
from pipeline.training.learner import Learner
from pipeline.training.objective import Objective
from pipeline.training.optimizer import add_l1

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Normalize:
    """uint8 pixels to the model's input, on the device: four times fewer bytes cross to it.

    uint8 [n, H, W, 3] becomes float [n, 3, H, W]; uint8 [n, T, H, W, 3] becomes float [n, 3, T, H, W].
    """

    mean: Tensor
    std: Tensor
    channels_last: bool = False

    @classmethod
    def of(cls, recipe: Recipe, device: torch.device) -> "Normalize":
        """The recipe's mean and standard deviation, for pixels in 0..255."""
        mean, std = (torch.tensor(values, device=device) for values in (recipe.augment.mean, recipe.augment.std))
        return cls(mean * 255, std * 255, recipe.train.channels_last)

    def __call__(self, pixels: np.ndarray) -> Tensor:
        """Copy `pixels` to the device and normalise them there."""
        there = torch.from_numpy(pixels).to(self.mean.device, non_blocking=True)
        x = there.float().sub_(self.mean).div_(self.std).movedim(-1, 1)
        if not self.channels_last:
            return x.contiguous()
        return x.contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d)


def autocast(recipe: Recipe, device: torch.device) -> AbstractContextManager[None]:
    """Mixed precision as the recipe asks for it."""
    dtype = _DTYPES.get(recipe.train.precision)
    return torch.autocast(device.type, dtype=dtype) if dtype else nullcontext()


def micro_batches(n: int, most: int | None) -> Iterator[slice]:
    """Cut `n` samples into slices of at most `most`."""
    size = most or n
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def train_step(
    model: nn.Module,
    learner: Learner,
    batch: dict[str, np.ndarray],
    samples: int,
    place: tuple[int, int],
    normalize: Normalize,
    objective: Objective,
    process: Process,
) -> Tensor:
    """Forward, backward and update for this rank's part of a batch of `samples`; `model` is the learner's, wrapped.

    `place` is the batch's (epoch, k). The summed loss is scaled by world / samples, so that the gradient averaged over
    ranks is the global batch's mean. Returns the task's `sums` of this rank on the device, float64, with the training's
    own loss.
    """
    device, recipe = process.device, objective.recipe
    optimizer, scaler = learner.optimizer, learner.scaler
    task, group = TASKS[recipe.task.kind], recipe.mix_group
    first = rank_slice(samples, group, process.rank, process.world).start
    labels, weights = (torch.from_numpy(batch[name]).to(device) for name in ("label", "weight"))
    total = torch.zeros((), dtype=torch.float64, device=device)
    cuts = list(micro_batches(len(labels), recipe.train.most_at_once))
    for cut in cuts:
        # Gradients are averaged over processes once, with those of the last part.
        is_partial = isinstance(model, DistributedDataParallel) and cut is not cuts[-1]
        with model.no_sync() if is_partial else nullcontext():  # type: ignore[operator]  # the line above says what it is
            x = normalize(batch["pixels"][cut, 0])
            targets = labels[cut]
            if mixed := objective.mix(x, *place, first_group=(first + cut.start) // group):
                x, targets = mixed.pixels, objective.mixed_targets(targets, mixed)
            with autocast(recipe, device):
                answer = model(x)
                logits, *auxiliary = answer if isinstance(answer, tuple) else (answer,)
                loss = objective.loss_sum(logits, x, targets, weights[cut], auxiliary)
            scaler.scale(loss * (process.world / samples)).backward()
        with torch.no_grad():
            part = task.sums(task.scores(logits), targets, weights[cut], training=True)
            part[0] = loss.detach()
            total = total + part
    if recipe.optimizer.l1 or recipe.train.grad_clip is not None:
        scaler.unscale_(optimizer)
    if recipe.optimizer.l1:
        add_l1(optimizer, recipe.optimizer.l1)
    if recipe.train.grad_clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), recipe.train.grad_clip)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad(set_to_none=True)
    if learner.ema is not None:
        learner.ema.update_parameters(learner.model)
    return total


@torch.no_grad()
def predict(model: nn.Module, pixels: np.ndarray, normalize: Normalize, recipe: Recipe) -> Tensor:
    """Scores 0..1 float [n, K] on the device, averaged over the views of uint8 [n, V, ...] pixels."""
    n, views = pixels.shape[:2]
    flat = pixels.reshape(n * views, *pixels.shape[2:])
    parts = []
    for cut in micro_batches(len(flat), recipe.train.most_at_once or recipe.train.batch_size):
        x = normalize(flat[cut])
        with autocast(recipe, x.device):
            parts.append(TASKS[recipe.task.kind].scores(model(x)))
    return torch.cat(parts).view(n, views, -1).mean(1)


def check_finite(loss: float, step: int, recipe: Recipe) -> None:
    """Raise when the training has diverged; every rank sees the same `loss`, so every rank stops."""
    if not np.isfinite(loss):
        raise ZoetropeError(
            f"the loss is {loss} at step {step}: the training has diverged. "
            f"Lower optimizer.lr (now {recipe.optimizer.lr:g}), lengthen schedule.warmup, or set train.grad_clip."
        )
