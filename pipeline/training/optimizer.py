"""Optimizers by name, and which parameters decay."""

from typing import Any

import torch
from torch import nn

from pipeline.recipe.schema import AdamW, Sgd


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: weights decay; biases and norms, which are vectors, do not (He et al. 2019, section 3.1)."""
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def sgd(model: nn.Module, options: Sgd) -> torch.optim.Optimizer:
    """SGD with momentum; the learning rate is set before every step."""
    groups = parameter_groups(model, options.weight_decay)
    return torch.optim.SGD(groups, lr=options.lr, momentum=options.momentum, nesterov=options.nesterov)


def adamw(model: nn.Module, options: AdamW) -> torch.optim.Optimizer:
    """AdamW; the learning rate is set before every step."""
    groups = parameter_groups(model, options.weight_decay)
    return torch.optim.AdamW(groups, lr=options.lr, betas=options.betas, eps=options.eps)


OPTIMIZERS: dict[str, Any] = {"sgd": sgd, "adamw": adamw}


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group the learning rate of this step."""
    for group in optimizer.param_groups:
        group["lr"] = lr
