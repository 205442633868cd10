"""What a model costs: parameters and multiply-adds, counted without computing or allocating anything."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import models


@dataclass(frozen=True)
class Complexity:
    """The cost of one sample of `input_shape` ([C, H, W] or [C, T, H, W])."""

    parameters: int
    multiply_adds: int
    input_shape: tuple[int, ...]


def complexity(name: str, num_classes: int, **options: Any) -> Complexity:
    """Return the cost of the model that `models.build` would build, for one sample of its published input size.

    ZoetropeError as `models.build`.
    """
    shape = models.check_options(name, **options).input_shape
    with torch.device("meta"):
        model = models.build(name, num_classes, **options)
    return Complexity(count_parameters(model), count_multiply_adds(model, shape), shape)


def count_parameters(model: nn.Module) -> int:
    """Count all parameters, each once; buffers (a batch norm's running statistics) are none."""
    return sum(p.numel() for p in model.parameters())


def count_multiply_adds(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Count the multiply-adds of convolutions and matrix products for one sample of float `input_shape`, in evaluation.

    Norms, activations, Fourier transforms and other work of an element at a time are left out, as in papers. The model
    must lie on the meta device (`with torch.device("meta")`), where shapes are followed and nothing is computed.
    """
    was_training = model.training
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.empty(1, *input_shape, device="meta"))
    model.train(was_training)
    return counter.get_total_flops() // 2
