"""Answers to several views of a sample."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pipeline.tasks.base import Answer, Arrays, Run


def averaged(answer: Callable[[Any], Answer], run: Run, arrays: Arrays) -> dict[str, Tensor]:
    """Answer pixels uint8 [n, V, (T,) H, W, 3] by the mean over the V views of what a model says to each."""
    pixels = arrays["pixels"]
    n, views = pixels.shape[:2]
    flat = pixels.reshape(n * views, *pixels.shape[2:])
    parts = [answer(run(run.inputs({"pixels": flat[cut]}))) for cut in run.parts(len(flat))]
    whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return {name: value.view(n, views, *value.shape[1:]).mean(1) for name, value in whole.items()}
