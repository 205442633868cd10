"""Parameters that a training leaves as they are, by patterns over their names."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.base.errors import ZoetropeError, nearest, unknown


def frozen(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that a pattern of `train.freeze` fits.

    ZoetropeError for a pattern that fits none, and when nothing would be left to train.
    """
    known = list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise ZoetropeError(f"train.freeze: {_near(pattern, known)}; `*` stands for any letters")
    found = [name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if len(found) == len(known):
        raise ZoetropeError("train.freeze: fits every parameter, so nothing is left to train; leave the head out")
    return found


def _near(pattern: str, names: list[str]) -> str:
    """Return a sentence with what fits and is nearest: names and parts of the network, else its largest parts."""
    if any(fnmatchcase(name, f"*.{pattern}") for name in names):
        return f"unknown parameter {pattern!r}; did you mean '*.{pattern}'?"
    parts = {".".join([*name.split(".")[:depth], "*"]) for name in names for depth in range(1, name.count(".") + 1)}
    known = [*names, *parts]
    return unknown("parameter", pattern, known if nearest(pattern, known) else [p for p in parts if p.count(".") == 1])


def freeze(model: nn.Module, patterns: Sequence[str]) -> tuple[nn.Module, ...]:
    """Let parameters get no gradient, in place; returns the batch norms whose parameters are all frozen.

    These are to stay in evaluation, so that their statistics do not change either. ZoetropeError as of `frozen`.
    """
    if not patterns:
        return ()
    for name in frozen((name for name, _ in model.named_parameters()), patterns):
        model.get_parameter(name).requires_grad_(False)
    return tuple(
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and not any(p.requires_grad for p in module.parameters())
    )
