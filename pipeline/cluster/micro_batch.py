"""`train.micro_batch: auto`: a training that runs out of memory goes on with half as many samples in a forward.

Not in the step in which it happened: the other workers may be waiting in a collective by then. The try ends, on all
workers, and the next one goes on from the last checkpoint.
"""

import gc
from collections.abc import Callable
from typing import TypeVar

from pipeline.base.errors import ZoetropeError, cut
from pipeline.base.place import noted_steps
from pipeline.recipe import Recipe
from pipeline.shards.order import rank_slice
from pipeline.store import Parts
from pipeline.training.distributed import Process
from pipeline.training.lone import lone_problem

CPU, CPU_IS_FULL = "DefaultCPUAllocator:", "DefaultCPUAllocator: can't allocate memory"
"""In the message of the RuntimeError that torch raises; on a GPU it is an error of its own type."""
NOTE = "micro_batch"
MOST_TEXT = 160

T = TypeVar("T")


class OutOfMemory(ZoetropeError):
    """The memory of a worker's device did not suffice."""

    samples = 0
    """In the forward, at most; 0 where it was full before the first step."""


def out_of_memory(error: Exception, recipe: Recipe, process: Process) -> OutOfMemory | None:
    """Return what a worker raises in place of torch's `error`; None when that is of another sort."""
    import torch

    if not (isinstance(error, torch.OutOfMemoryError | MemoryError) or CPU_IS_FULL in str(error)):
        return None
    line = (str(error).strip() or "no more is given").splitlines()[0]
    reason = cut(line.rpartition(CPU)[2].strip().rstrip("."), MOST_TEXT)
    if not noted_steps(error):
        return OutOfMemory(f"the memory of {process.device} does not suffice for the model: {reason}.")
    part = rank_slice(recipe.train.batch_size, recipe.mix_group, process.rank, process.world)
    samples = min(part.stop - part.start, recipe.train.most_at_once or recipe.train.batch_size)
    count = f"{samples} sample{'' if samples == 1 else 's'}"
    raised = OutOfMemory(f"the memory of {process.device} does not suffice for {count} at once: {reason}.")
    raised.samples = samples
    return raised


def while_memory_lacks(
    run: Callable[[Recipe], T], recipe: Recipe, samples: int, parts: Parts, say: Callable[[str], None]
) -> T:
    """Return what `run` returns; of `auto` it gets the recipe with a number, again with a smaller one after an
    `OutOfMemory`.

    samples: of the training split
    parts:   of the training: where the number is kept, for a later try to begin with
    OutOfMemory that says what to do when there is no smaller one, or the recipe says the number.
    """
    is_auto = recipe.train.micro_batch == "auto"
    while True:
        tried = with_micro_batch(recipe, found(parts)) if is_auto else recipe
        try:
            return run(tried)
        except OutOfMemory as error:
            fewer = halved(recipe, samples, error.samples) if is_auto else None
            if fewer is None:
                raise OutOfMemory(f"{error} {_advice(recipe, error.samples)}") from error
            parts.finish(NOTE, {}, {"samples": fewer})
            say(
                f"train: train.micro_batch is {fewer} from the last checkpoint on, the batch stays "
                f"{recipe.train.batch_size}: {error}"
            )
        gc.collect()  # what the frames of the error held


def found(parts: Parts) -> int | None:
    """Return the number that was found for `auto`; None while the whole part of a worker fits."""
    kept = parts.finished(NOTE)
    return int(kept["samples"]) if kept else None


def with_micro_batch(recipe: Recipe, samples: int | None) -> Recipe:
    """Return the recipe with a number for `train.micro_batch`; as it is for None."""
    if samples is None:
        return recipe
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"micro_batch": samples})})


def halved(recipe: Recipe, samples: int, most: int) -> int | None:
    """Return the next number to try after `most` samples at once were too many; None when there is no smaller one.

    It is of whole groups that are mixed, and leaves no sample alone where the model's BatchNorm minds (of 17, 3 at once
    and not 2). `samples`: of the training split.
    """
    group = recipe.mix_group
    groups = -(-most // group)
    fewer = (half * group for half in range(min(groups - groups // 2, groups - 1), 0, -1))
    return next((n for n in fewer if not lone_problem(with_micro_batch(recipe, n), samples)), None)


def _advice(recipe: Recipe, samples: int) -> str:
    if not samples:
        return "Take a smaller model, or a GPU with more memory."
    if recipe.train.micro_batch == "auto":
        return "Fewer cannot be: take a smaller model or input, or model.gradient_checkpointing where it has that."
    return (
        "Set train.micro_batch to auto or to fewer (the batch stays what it is, in smaller parts), or take more "
        "cluster.workers."
    )
