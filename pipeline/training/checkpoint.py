"""What a training needs to go on: model, optimizer, scaler, cursor, bad samples, recipe. Nothing is unpickled."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.base.errors import ZoetropeError
from pipeline.feed.quarantine import Bad

FILE = "checkpoint.pt"
SCHEMA = 2
_ANEW = "`--rerun train` trains anew"


def save(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    step: int,
    metrics: dict[str, float],
    bad: dict[str, Bad],
    recipe: dict[str, Any],
) -> None:
    """Write `checkpoint.pt` into `folder`.

    `step` is the next one to do, `metrics` the last of the validation split, `bad` the bad samples of each split.
    """
    state = {
        "schema": SCHEMA,
        "step": step,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "metrics": metrics,
        "bad": bad,
        "recipe": recipe,
    }
    torch.save(state, folder / FILE)


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


def restore(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
) -> tuple[int, dict[str, float], dict[str, Bad]]:
    """Load a checkpoint into the three; returns the next step to do, the metrics so far and the bad samples."""
    state = read(folder)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    return int(state["step"]), dict(state["metrics"]), dict(state["bad"])
