"""Everything that a training needs to go on: model, optimizer, scaler, cursor and recipe. Nothing is unpickled."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.base.errors import ZoetropeError

FILE = "checkpoint.pt"
SCHEMA = 1


def save(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    step: int,
    recipe: dict[str, Any],
) -> None:
    """Write `checkpoint.pt` into `folder`; `step` is the next one to do."""
    state = {
        "schema": SCHEMA,
        "step": step,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "recipe": recipe,
    }
    torch.save(state, folder / FILE)


def read(folder: Path) -> dict[str, Any]:
    """A checkpoint's state on the CPU; ZoetropeError when it is torn or of another version."""
    path = folder / FILE
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ZoetropeError(
            f"{path}: cannot be read as a checkpoint ({error}); delete its folder to start anew"
        ) from error
    if state.get("schema") != SCHEMA:
        raise ZoetropeError(f"{path}: is a checkpoint of schema {state.get('schema')}, this version reads {SCHEMA}")
    return state


def restore(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> int:
    """Load a checkpoint into the three; returns the next step to do."""
    state = read(folder)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    return int(state["step"])
