"""What a model costs: parameters and multiply-adds, counted without computing or allocating anything."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import models
from models.options import ModelOptions


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


def training_bytes(options: ModelOptions, num_classes: int, input_shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the bytes that training takes: for the model whatever the batch is, and for each sample of `input_shape`.

    For the model: weights and gradients, and two more of their size for an optimizer's means. For a sample: what
    autograd keeps for the backward pass, in float32. Nothing is computed or allocated.
    """
    with torch.device("meta"):
        model = options.build(num_classes).train()
        pair = torch.empty(2, *input_shape)  # as BatchNorm asks for
    kept: dict[int, int] = {}
    own = {one.untyped_storage()._cdata for one in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:  # on the meta device there is no address of data to tell them by
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = model(pair)
    del out
    return 16 * count_parameters(model), sum(kept.values()) // 2
