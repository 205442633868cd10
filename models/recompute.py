"""Gradient checkpointing (Chen et al. 2016, "Training deep nets with sublinear memory cost") for BatchNorm."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recomputed(block: nn.Module, run: Callable[..., Tensor], *inputs: Any) -> Tensor:
    """Return `run(*inputs)`, which runs `block`, keeping none of its activations: the backward pass computes them
    again.

    The second time leaves the statistics of batch norms as they are, or each step would count twice.
    """
    if torch.compiler.is_compiling():  # it takes no context, and needs none: buffers change once, behind its graph
        return checkpoint(run, *inputs, use_reentrant=False)
    return checkpoint(run, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), _buffers_kept(block)))


@contextmanager
def _buffers_kept(block: nn.Module) -> Iterator[None]:
    before = [(buffer, buffer.clone()) for buffer in block.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
