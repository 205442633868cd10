"""Architectures by name. Torch is imported when a model is built, not before, so that recipes are checked quickly."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from models.official import Official, named
from models.options import OPTIONS, ModelOptions
from models.options.own import options_of
from pipeline.base.errors import ZoetropeError, unknown

if TYPE_CHECKING:
    from torch import nn

    from models.weights import LoadedWeights

__all__ = ["build", "check_options", "load_weights", "names"]


def names() -> list[str]:
    """Return the names of our models, sorted; `build` knows a user's own besides, see docs/extend.md."""
    return sorted(OPTIONS)


def check_options(name: str, **options: Any) -> ModelOptions:
    """Return the typed options of model `name`, defaults filled in; ZoetropeError with every mistake at once."""
    family = options_of(name)
    known = [field for field in family.model_fields if field != "kind"]
    mistakes = [unknown(f"option of {name}", option, known) for option in options if option not in known]
    try:
        checked = family.model_validate({**options, "kind": name})
    except ValidationError as error:
        wrong = [e for e in error.errors() if e["type"] != "extra_forbidden"]
        mistakes += [f"{name}: {e['loc'][0]}={e['input']!r} will not do: {_lower(e['msg'])}" for e in wrong]
    if mistakes:
        raise ZoetropeError("\n".join(mistakes))
    return checked


def build(name: str, num_classes: int, **options: Any) -> "nn.Module":
    """Build a model with weights drawn from torch's generator (seed it first), or loaded from the option `weights`.

    Image models take float [B, 3, H, W], video models float [B, 3, T, H, W]; both return logits [B, num_classes], and
    `model.features(x)` what the head sees. Models that answer a mask return logits [B, num_classes, h, w], which are
    `model.margin_px` smaller on each side, and those that answer objects named tensors, see `models.ssd`. Those that
    answer an image have no classes, and return one [B, 3, s H, s W]. ZoetropeError for an unknown name, an unknown or a
    wrong option.
    """
    checked = check_options(name, **options)
    if num_classes < 1 and checked.answers != "image":
        raise ZoetropeError(f"{name} needs at least 1 class, got num_classes={num_classes}")
    model = checked.build(num_classes)
    if checked.init != "own":
        from models.initial import initialise

        initialise(model, checked.init)
    if checked.weights is not None:
        load_weights(model, named(name, checked.weights) or checked.weights)
    return model


def load_weights(
    model: "nn.Module",
    source: str | Path | Official | Mapping[str, Any],
    say: Callable[[str], None] = warnings.warn,
    new_head: bool = False,
) -> "LoadedWeights":
    """Load official or own weights into `model`, in place: `models.weights.load_weights` has the details.

    `source` is a path, an http(s) URL, a hub id `hf://organisation/name/file`, each with `#entry` behind it where the
    file holds several, a row of `models.official`, or a state dict. `say` is told when what the hub has now could not
    be learned; `new_head` leaves the head as it is. ZoetropeError when the weights cannot be read or do not fit.
    """
    from models.weights import load_weights

    return load_weights(model, source, say, new_head)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
