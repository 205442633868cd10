"""An exponential moving average of the weights, often better than the last ones (Tarvainen & Valpola 2017)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def decay_at(step: int, decay: float) -> float:
    """Return the decay of the steps 1, 2, ...: at most (1 + step) / (10 + step), so the first
    weights are soon forgotten.
    """
    return min(decay, (1 + step) / (10 + step))


def average(model: nn.Module, decay: float) -> AveragedModel:
    """Make a copy of `model` whose `update_parameters(model)` follows it, buffers exactly; `.module` is the model to
    use.

    The first update copies, so the initial weights do not count.
    """

    @torch.no_grad()
    def towards(averaged: Sequence[Tensor], current: Sequence[Tensor], step: Tensor | int) -> None:
        torch._foreach_lerp_(list(averaged), list(current), 1 - decay_at(int(step), decay))

    return AveragedModel(model, multi_avg_fn=towards)
