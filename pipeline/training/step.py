"""One optimizer step, and one forward without gradients."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from augment.mixing.batch import Drawn
from models.memory_format import CHANNELS_LAST
from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import seed64
from pipeline.recipe import Recipe
from pipeline.recipe.evaluate import Evaluate
from pipeline.recipe.schema import Train
from pipeline.shards.order import rank_slice
from pipeline.tasks.base import Arrays, Fields, Inputs, looked_at
from pipeline.training.distributed import Process
from pipeline.training.learner import Learner
from pipeline.training.objective import Objective
from pipeline.training.optimizer import add_l1
from pipeline.training.sizes import batch_size_px, resized

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Normalize:
    """uint8 pixels to the model's input, on the device: four times fewer bytes cross to it.

    uint8 [n, H, W, 3] becomes float [n, 3, H, W]; uint8 [n, T, H, W, 3] becomes float [n, 3, T, H, W]; and so pixels
    of other `data.bands`, and flow. `flow` normalises that of a two-stream model.
    """

    mean: Tensor
    std: Tensor
    channels_last: bool = False
    flow: "Normalize | None" = None

    @classmethod
    def of(cls, recipe: Recipe, device: torch.device) -> "Normalize":
        """Make it of the recipe's mean and standard deviation, for pixels from 0 to the highest level."""
        white, last = recipe.data.bands.white, recipe.train.channels_last
        half, flow_std = (torch.tensor([value], device=device) * white for value in (0.5, recipe.augment.flow_std))
        flow = cls(half, flow_std, last)
        if recipe.sees_flow_alone:
            return flow
        mean, std = (torch.tensor(values, device=device) for values in (recipe.augment.mean, recipe.augment.std))
        return cls(mean * white, std * white, last, flow if "flow" in recipe.inputs else None)

    def with_channels_last(self) -> "Normalize":
        """Return one whose answers lie channels-last."""
        flow = self.flow and self.flow.with_channels_last()
        return replace(self, channels_last=True, flow=flow)

    def __call__(self, pixels: np.ndarray) -> Tensor:
        """Copy `pixels` to the device and normalise them there."""
        there = torch.from_numpy(pixels).to(self.mean.device, non_blocking=True)
        x = there.float().sub_(self.mean).div_(self.std).movedim(-1, 1)
        if not self.channels_last:
            return x.contiguous()
        return x.contiguous(memory_format=CHANNELS_LAST[x.ndim])


def autocast(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """Open a block of mixed precision; fp32 is none."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, dtype=DTYPES[precision])


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
    """Run forward, backward and update for this rank's part of a batch of `samples`; `model` is the learner's, wrapped.

    `place` is the batch's (epoch, k). A model that `takes_targets` gets the fields, with a key for its draws. Each part
    of the loss is scaled by world / its count in the whole batch, so that the gradient averaged over ranks is the
    global batch's, however it is cut. Returns the task's `sums` of this rank on the device, float64, with the
    training's own loss.
    """
    device, recipe, task = process.device, objective.recipe, objective.task
    optimizer, scaler = learner.optimizer, learner.scaler
    group = recipe.mix_group
    first = rank_slice(samples, group, process.rank, process.world).start
    fields, weights = to_device(batch, device)
    made = batch["pixels"].shape[-3:-1]
    size = batch_size_px(recipe, made, place)
    fields = task.resized(fields, made, size) if size != made else fields
    takes_targets = getattr(learner.model, "takes_targets", False)
    if takes_targets:
        fields = {**fields, "key": draw_keys(recipe.seed, place, batch["sample"]).to(device)}
    total = torch.zeros((), dtype=torch.float64, device=device)
    cuts = list(micro_batches(len(weights), recipe.train.most_at_once))
    drawn: list[Drawn | None] = []
    parts: list[tuple[Fields, Tensor]] = []
    for cut in cuts:
        of_cut: Fields = {name: field[cut] for name, field in fields.items()}
        draw = objective.draw(cut.stop - cut.start, size, place, (first + cut.start) // group, device)
        drawn.append(draw)
        parts.append((task.mixed(of_cut, draw) if draw else of_cut, weights[cut]))
    scales = objective.scales(learner.model, size, parts, samples, process)
    for cut, draw, part in zip(cuts, drawn, parts, strict=True):
        # Gradients are averaged over processes once, with those of the last part.
        is_partial = isinstance(model, DistributedDataParallel) and cut is not cuts[-1]
        with model.no_sync() if is_partial else nullcontext():  # type: ignore[operator]  # the line above says what it is
            inputs = inputs_of({name: array[cut, 0] for name, array in looked_at(batch).items()}, normalize)
            if size != made:
                inputs = {name: resized(x, size) for name, x in inputs.items()}
            inputs = task.mixed_inputs(inputs, draw, part[0]) if draw else inputs
            with autocast(recipe.train.precision, device):
                out = call(model, inputs, **({"targets": part[0]} if takes_targets else {}))
                losses = objective.losses(learner.model, out, inputs, *part)
                loss = torch.stack([each * scales.get(name, 1.0) for name, each in losses.items()]).sum()
            scaler.scale(loss * (process.world / samples)).backward()
        with torch.no_grad():
            sums = task.sums(task.answer(out[0] if isinstance(out, tuple) else out), *part, training=True)
            sums[0] = loss.detach()
            total = total + sums
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


def inputs_of(arrays: Arrays, normalize: Normalize) -> Inputs:
    """Return what a model looks at, of arrays uint8 [n, (T,) H, W, 3], normalised on the device."""
    inputs = {"pixels": normalize(arrays["pixels"])}
    return inputs if normalize.flow is None else {**inputs, "flow": normalize.flow(arrays["flow"])}


def call(model: nn.Module, inputs: Inputs, **told: Fields) -> Any:
    """Call a model: it takes the pixels, and what else there is by name."""
    return model(inputs["pixels"], **{name: x for name, x in inputs.items() if name != "pixels"}, **told)


def draw_keys(seed: int, place: tuple[int, int], samples: np.ndarray) -> Tensor:
    """Return a key for what a model draws of each sample of the batch at (epoch, k): int64 [n], whoever has which."""
    return torch.tensor([seed64(seed, "model", *place, int(sample)) for sample in samples], dtype=torch.int64)


def to_device(arrays: Arrays, device: torch.device) -> tuple[Fields, Tensor]:
    """Return a batch's fields, and its samples' weights."""
    others = arrays.keys() - looked_at(arrays).keys() - {"sample"}
    there = {name: torch.from_numpy(arrays[name]).to(device) for name in others}
    weights = there.pop("weight")
    return there, weights


@dataclass(frozen=True)
class Running:
    """A trained model as a task calls it: see `pipeline.tasks.base.Run`."""

    model: nn.Module
    normalize: Normalize
    train: Train
    """The precision and size of a forward pass are those of the training, where `how` says nothing else."""
    how: Evaluate | None = None
    """What an evaluation asks for; None in a training, which validates in the plainest way."""

    @property
    def precision(self) -> str:
        """The precision of a forward pass."""
        return (self.how and self.how.precision) or self.train.precision

    def parts(self, n: int) -> Iterator[slice]:
        """Cut n samples into as many as a training's step has at once."""
        return micro_batches(n, self.train.most_at_once or self.train.batch_size)

    def inputs(self, arrays: Arrays) -> Inputs:
        """Return them normalised, on the device."""
        return inputs_of(arrays, self.normalize)

    def __call__(self, inputs: Inputs) -> Any:
        """Return the model's outputs, computed in `precision`."""
        with torch.no_grad(), autocast(self.precision, self.normalize.mean.device):
            return call(self.model, inputs)


def check_finite(loss: float, step: int, lr: float) -> None:
    """Raise when the training has diverged; every rank sees the same `loss`, so every rank stops."""
    if not np.isfinite(loss):
        raise ZoetropeError(
            f"the loss is {loss} at step {step}: the training has diverged. "
            f"Lower optimizer.lr (now {lr:g}), lengthen schedule.warmup, or set train.grad_clip."
        )
