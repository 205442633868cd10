"""What a training needs to go on: model, optimizer, cursor, bad samples, recipe, ... Nothing is unpickled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from pipeline.base.errors import ZoetropeError
from pipeline.feed.quarantine import Bad

FILE = "checkpoint.pt"
SCHEMA = 2
AVERAGED = "module."
"""Before each name of `torch.optim.swa_utils.AveragedModel`."""
_ANEW = "`--rerun train` trains anew"


class Stateful(Protocol):
    """What a checkpoint keeps by its `state_dict`: a model, an optimizer, ..."""

    def state_dict(self) -> dict[str, Any]:
        """What there is to keep, of tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Take it up again."""


def save(
    folder: Path,
    parts: Mapping[str, Stateful],
    step: int,
    metrics: dict[str, float],
    bad: dict[str, Bad],
    recipe: dict[str, Any],
) -> None:
    """Write `checkpoint.pt` into `folder`.

    `step` is the next one to do, `metrics` the last of the validation split, `bad` the bad samples of each split.
    """
    state = {name: part.state_dict() for name, part in parts.items()}
    about = {"schema": SCHEMA, "step": step, "metrics": metrics, "bad": bad, "recipe": recipe}
    torch.save({**about, **state}, folder / FILE)


def read(folder: Path) -> dict[str, Any]:
    """A checkpoint's state on the CPU; ZoetropeError when it is torn or of another version."""
    path = folder / FILE
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, pickle and zip files fail in many ways
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ZoetropeError(f"{path}: cannot be read as a checkpoint ({reason}); {_ANEW}") from error
    schema = state.get("schema") if isinstance(state, dict) else None
    if schema != SCHEMA:
        raise ZoetropeError(f"{path}: is a checkpoint of schema {schema}, this version reads {SCHEMA}; {_ANEW}")
    return dict(state)


def restore(folder: Path, parts: Mapping[str, Stateful]) -> tuple[int, dict[str, float], dict[str, Bad]]:
    """Load a checkpoint into all `parts`; returns the next step to do, the metrics so far and the bad samples."""
    state = read(folder)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["step"]), dict(state["metrics"]), dict(state["bad"])


def final_weights(state: dict[str, Any]) -> dict[str, Tensor]:
    """What a training makes: the best weights when it looked for them, else their average, else the last ones."""
    if "early_stopping" in state:
        return dict(state["early_stopping"]["weights"])
    if "ema" in state:
        return {name[len(AVERAGED) :]: value for name, value in state["ema"].items() if name.startswith(AVERAGED)}
    return dict(state["model"])
