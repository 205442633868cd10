"""Answers to several views of a sample."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipeline.tasks.base import Arrays, Run

if TYPE_CHECKING:
    from torch import Tensor


def averaged(run: Run, arrays: Arrays, scores: "Callable[[Any], Tensor]") -> "Tensor":
    """`scores` [n, K] of a model's outputs, averaged over the views of pixels uint8 [n, V, (T,) H, W, 3]."""
    import torch

    pixels = arrays["pixels"]
    n, views = pixels.shape[:2]
    flat = pixels.reshape(n * views, *pixels.shape[2:])
    parts = [scores(run(run.inputs({"pixels": flat[cut]}))) for cut in run.parts(len(flat))]
    return torch.cat(parts).view(n, views, -1).mean(1)
