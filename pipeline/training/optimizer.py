"""Optimizers by name; which parameters decay, and at which share of the learning rate each of them learns."""

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from models.depth import depths
from pipeline.base.errors import ZoetropeError, unknown
from pipeline.recipe.optimizers import AdaBound, AdamW, OptimizerOptions, RmsProp, Sgd

EMBEDDINGS = ("cls_token", "pos_embed", "pos_embedding", "time_embed", "relative_position_bias_table")
"""Parameters of many dimensions that are no weights; TimeSformer and ViT do not let them decay either."""

Groups = list[dict[str, Any]]


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Tell whether a parameter is a weight: biases and norms are vectors (He et al. 2019, section 3.1)."""
    return parameter.ndim > 1 and not name.endswith(EMBEDDINGS)


def parameter_groups(model: nn.Module, options: OptimizerOptions, biases_apart: bool = False) -> Groups:
    """Group parameters that learn alike: those that decay or not, with one `lr_factor`, which `set_lr` reads.

    biases_apart: biases, those of norms too, are groups of their own, which say so, for a warm-up of their own

    ZoetropeError when a name of `lr_factors` fits no parameter.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    factors = lr_factors([name for name, _ in model.named_parameters()], options.lr_factors, options.layer_decay)
    groups: dict[tuple[bool, float, bool], list[nn.Parameter]] = {}
    for name, parameter in named:
        biases = biases_apart and name.rpartition(".")[2] == "bias"
        groups.setdefault((options.decay_all or decays(name, parameter), factors[name], biases), []).append(parameter)
    return [
        {
            "params": members,
            "decays": decay,
            "weight_decay": options.weight_decay if decay else 0.0,
            "lr_factor": factor,
            **({"biases": True} if biases else {}),
        }
        for (decay, factor, biases), members in groups.items()
    ]


def lr_factors(names: list[str], patterns: Mapping[str, float], layer_decay: float) -> dict[str, float]:
    """Map each parameter name -> factor of the learning rate: that of the first pattern that fits, times the layer's.

    The layer's is layer_decay ** (blocks that follow), 1 for the head (Clark et al. 2020, ELECTRA; Bao et al. 2022).
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ZoetropeError(f"optimizer.lr_factors: {unknown('parameter', pattern, names)}")
    depth = depths(names)
    deepest = max(depth.values(), default=0)
    return {
        name: next((factor for pattern, factor in patterns.items() if fnmatchcase(name, pattern)), 1.0)
        * layer_decay ** (deepest - depth[name])
        for name in names
    }


def sgd(groups: Groups, options: Sgd) -> torch.optim.Optimizer:
    """Make SGD with momentum."""
    return torch.optim.SGD(groups, lr=options.lr, momentum=options.momentum, nesterov=options.nesterov, fused=True)


def adamw(groups: Groups, options: AdamW) -> torch.optim.Optimizer:
    """Make AdamW."""
    return torch.optim.AdamW(groups, lr=options.lr, betas=options.betas, eps=options.eps, fused=True)


def rmsprop(groups: Groups, options: RmsProp) -> torch.optim.Optimizer:
    """Make RMSprop."""
    return torch.optim.RMSprop(groups, lr=options.lr, alpha=options.alpha, eps=options.eps, momentum=options.momentum)


def adabound(groups: Groups, options: AdaBound) -> torch.optim.Optimizer:
    """Make AdaBound or AMSBound, whose bounds are factors of the learning rate now over that at the start."""
    import pytorch_optimizer

    made: torch.optim.Optimizer = pytorch_optimizer.AdaBound(
        groups,
        lr=options.lr,
        final_lr=options.final_lr,
        betas=options.betas,
        gamma=options.gamma,
        eps=options.eps,
        ams_bound=options.amsbound,
        weight_decouple=False,
    )
    return made


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": sgd,
    "adamw": adamw,
    "rmsprop": rmsprop,
    "adabound": adabound,
}


def make_optimizer(model: nn.Module, options: Any, biases_apart: bool = False) -> torch.optim.Optimizer:
    """Make the recipe's optimizer; the learning rate is set before every step."""
    return OPTIMIZERS[options.kind](parameter_groups(model, options, biases_apart), options)


def set_lr(
    optimizer: torch.optim.Optimizer, lr: float, bias_lr: float | None = None, momentum: float | None = None
) -> None:
    """Give every group its share of the learning rate of this step, biases perhaps of another; None: as it is."""
    for group in optimizer.param_groups:
        of_biases = bias_lr is not None and group.get("biases")
        group["lr"] = (bias_lr if of_biases else lr) * group["lr_factor"]
        if momentum is not None:
            group["momentum"] = momentum


@torch.no_grad()
def add_l1(optimizer: torch.optim.Optimizer, strength: float) -> None:
    """Add the gradient of `strength` * |w| for every weight that decays."""
    for group in optimizer.param_groups:
        weights = [p for p in group["params"] if p.grad is not None]
        if weights and group["decays"]:
            gradients = [p.grad for p in weights if p.grad is not None]
            torch._foreach_add_(gradients, torch._foreach_sign(weights), alpha=strength)
