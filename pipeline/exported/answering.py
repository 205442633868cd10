"""What is exported: an exported model with what stands before and behind it, pixels in, the task's answer out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from models.tsm_online import OnlineTSM
from pipeline.base.errors import ZoetropeError, cut
from pipeline.feed.views import view_size
from pipeline.recipe import Recipe
from pipeline.tasks.base import Task
from pipeline.training.step import Normalize

if TYPE_CHECKING:
    from torch.export import ExportedProgram

BATCH = 2
"""Samples in the batch that is traced: of one, a graph would make a constant."""
ANY_SIDE_PX = 128
"""The least side of pictures that are traced for any size."""
MOST_SAID = 500
"""Characters of what torch says of a model that it cannot trace."""


class Answering(nn.Module):
    """Pixels -> the tensors of the task's answer, in their order.

    Pixels are float [B, C, (T,) H, W], normalised; or, with `normalize`, as they are decoded: uint8 [B, (T,) H, W, 3]
    of RGB. A two-stream model gets flow besides, likewise, of 2 L channels.
    """

    mean: Tensor
    std: Tensor
    flow_mean: Tensor
    flow_std: Tensor

    def __init__(self, model: nn.Module, task: Task, normalize: Normalize | None) -> None:
        super().__init__()
        self.model, self.task = model, task
        self.normalizes = normalize is not None
        if normalize is not None:
            self.register_buffer("mean", normalize.mean)
            self.register_buffer("std", normalize.std)
            if normalize.flow is not None:
                self.register_buffer("flow_mean", normalize.flow.mean)
                self.register_buffer("flow_std", normalize.flow.std)

    def answer(self, pixels: Tensor) -> dict[str, Tensor]:
        """Answer a batch, by the names of what is answered."""
        return dict(self.task.exported(self.model, self.inputs(pixels)))

    def inputs(self, pixels: Tensor) -> Tensor:
        """Return what the model gets."""
        return ((pixels.float() - self.mean) / self.std).movedim(-1, 1) if self.normalizes else pixels

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Answer a batch."""
        return tuple(self.answer(pixels).values())


class AnsweringBoth(Answering):
    """The same of a two-stream model: pixels and flow -> the tensors of the task's answer."""

    def answer(self, pixels: Tensor, flow: Tensor) -> dict[str, Tensor]:  # type: ignore[override]  # by its two inputs
        """Answer a batch, by the names of what is answered."""
        if self.normalizes:
            flow = ((flow.float() - self.flow_mean) / self.flow_std).movedim(-1, 1)
        # Side by side, which the model takes, too: a task calls its model with one tensor
        return dict(self.task.exported(self.model, torch.cat([self.inputs(pixels), flow], 1)))

    def forward(self, pixels: Tensor, flow: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]  # likewise
        """Answer a batch."""
        return tuple(self.answer(pixels, flow).values())


class AnsweringOnline(Answering):
    """The same a frame at a time: pixels of one frame and the caches -> the frame's answer and the next caches.

    Pixels are float [B, 3, H, W] or uint8 [B, H, W, 3]. Caches are zeros before the first frame. ZoetropeError for a
    model that cannot.
    """

    def __init__(self, model: nn.Module, task: Task, normalize: Normalize | None) -> None:
        super().__init__(OnlineTSM(model), task, normalize)

    def answer(self, pixels: Tensor, *caches: Tensor) -> dict[str, Tensor]:
        """Answer a batch of frames; `next_0`, `next_1`, ... are the caches for the next one."""
        logits, kept = self.model(self.inputs(pixels), caches or None)
        return {**self.task.answer(logits), **{f"next_{i}": cache for i, cache in enumerate(kept)}}

    def forward(self, pixels: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        """Answer a batch of frames."""
        return tuple(self.answer(pixels, *caches).values())


@dataclass(frozen=True)
class Exportable:
    """A module to be traced, and its inputs and outputs by name; `inputs` are examples, with a batch of `BATCH`.

    any_size: whether height and width are to be free
    caches: how many of the inputs and of the outputs, the last of them, are passed on from frame to frame
    """

    module: Answering
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    any_size: bool = False
    caches: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the example in px."""
        height, width = (self.inputs["pixels"].shape[axis] for axis in self.axes)
        return height, width

    @property
    def axes(self) -> tuple[int, int]:
        """Which axes of the pixels are height and width."""
        last = self.inputs["pixels"].ndim - (1 if self.module.normalizes else 0)
        return last - 2, last - 1


def exportable(
    recipe: Recipe,
    model: nn.Module,
    task: Task,
    preprocess: bool = False,
    online: bool = False,
    any_size: bool = False,
) -> Exportable:
    """Put a recipe's trained model, on the CPU, between its preprocessing and its task's answer.

    preprocess: whether pixels come as they are decoded, uint8 [B, (T,) H, W, 3] of RGB, and are normalised inside
    online: a TSM that looks at the past alone, frame by frame; ZoetropeError for another model
    any_size: whether height and width are to be free. It is passed over where they cannot be: for caches, and for a
        model with a margin, as how its pictures are mirrored follows from their size
    """
    any_size = any_size and not online and not recipe.model.margin_px
    normalize = Normalize.of(recipe, torch.device("cpu")) if preprocess else None
    kind = AnsweringOnline if online else AnsweringBoth if "flow" in recipe.inputs else Answering
    module = kind(model, task.answering(recipe.evaluate), normalize).eval()
    frames = (recipe.clip.frames,) if recipe.model.modality() == "video" and not online else ()
    shape = (*frames, *_size(recipe, task, any_size))
    dtype = getattr(torch, recipe.data.bands.dtype)
    looks = {
        name: torch.zeros(BATCH, *shape, channels, dtype=dtype) if preprocess else torch.zeros(BATCH, channels, *shape)
        for name, channels in recipe.inputs.items()
    }
    with torch.no_grad():
        answer = module.answer(**looks)
    caches = [torch.zeros_like(value) for name, value in answer.items() if name.startswith("next_")]
    inputs = {**looks, **{f"cache_{i}": cache for i, cache in enumerate(caches)}}
    return Exportable(module, inputs, tuple(answer), any_size, len(caches))


def traced(given: Exportable) -> "ExportedProgram":
    """Trace it with torch.export; the batch is free, and with `any_size` height and width where the model lets them.

    ZoetropeError, with what torch says, for a model that cannot be traced.
    """
    from torch.export import Dim, export

    batch = Dim("batch", min=1)
    sides = dict.fromkeys(given.axes, Dim.AUTO) if given.any_size else {}
    looks = [name for name in given.inputs if not name.startswith("cache_")]
    shapes: dict[str, Any] = {name: {0: batch, **sides} for name in looks}
    if given.caches:
        shapes["caches"] = tuple({0: batch} for _ in range(given.caches))
    try:
        with torch.no_grad():
            return export(given.module, tuple(given.inputs.values()), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # of whichever operation it is
        raise ZoetropeError(
            f"torch.export cannot trace the model: {_first_lines(error)}. A model of your own must be written in "
            "operations on tensors whose first dimension stays free: x.shape[0], and not len(x)"
        ) from error


def free_sides(program: "ExportedProgram", axes: Sequence[int]) -> bool:
    """Tell whether the graph takes pixels of other heights and widths than those that it was traced with."""
    pixels = next(node for node in program.graph.nodes if node.name == "pixels")
    return all(isinstance(pixels.meta["val"].shape[axis], torch.SymInt) for axis in axes)


def _size(recipe: Recipe, task: Task, any_size: bool) -> tuple[int, int]:
    """(H, W) of the pictures to trace with: large enough, where others are to do, that no map has one place alone."""
    try:
        height, width = view_size(recipe, training=False)
    except ZoetropeError:
        if not task.any_size:
            raise
        return ANY_SIDE_PX, ANY_SIDE_PX
    return (max(height, ANY_SIDE_PX), max(width, ANY_SIDE_PX)) if any_size else (height, width)


def _first_lines(error: Exception) -> str:
    return cut(" ".join(str(error).split()), MOST_SAID) or type(error).__name__
