"""What a training needs to go on: model, optimizer, cursor, bad samples, recipe, ... Nothing is unpickled.

    checkpoint.pt           the state, as torch writes it
    checkpoint.pt.sha256    its digest, as `sha256sum` writes it

torch compares nothing when it reads. A zip has a CRC of each member, but not of its directory: of all 47,528 flips of
one bit in a small checkpoint, 15 loaded as other weights though the CRCs were right. So there is a digest. Checkpoints
of older versions have none; of these the CRCs are compared.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline.base.errors import ZoetropeError
from pipeline.feed.bad_samples import Bad
from pipeline.shards.file_io import publishing, sha256, sync, write_bytes

FILE = "checkpoint.pt"
DIGEST = f"{FILE}.sha256"
SCHEMA = 2
SCHEDULE = "schedule"
"""The part that only some schedules have."""
AVERAGED = "module."
"""Before each name of `torch.optim.swa_utils.AveragedModel`."""
_ANEW = "a training goes on from the one before it, and `--rerun train` trains anew"


class Stateful(Protocol):
    """What a checkpoint keeps by its `state_dict`: a model, an optimizer, ..."""

    def state_dict(self) -> dict[str, Any]:
        """Return what there is to keep, of tensors and plain values."""

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
    """Write a checkpoint into `folder`, which is made if need be. It is on the disk when this returns.

    `step` is the next one to do, `metrics` the last of the validation split, `bad` the bad samples of each split.
    OSError when the disk does not take it; what was in `folder` before is then as it was, or has a digest that differs.
    """
    state = {name: part.state_dict() for name, part in parts.items()}
    about = {"schema": SCHEMA, "step": step, "metrics": metrics, "bad": bad, "recipe": recipe}
    path = folder / FILE
    with publishing(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save({**about, **state}, file)
        except RuntimeError as error:
            # Of a full disk torch says "unexpected pos 999168 vs 999056"; the file's own words are behind it.
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None
    write_bytes(folder / DIGEST, _digest_line(path))
    sync(folder.parent)


def damage(folder: Path) -> str | None:
    """Return what is wrong with a checkpoint's file, such as "No such file or directory".

    None when it is what was written.
    """
    path, digest = folder / FILE, folder / DIGEST
    try:
        if digest.exists():
            return None if digest.read_bytes() == _digest_line(path) else f"its sha256 is not that in {DIGEST}"
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        return broken and f"the CRC of its member {broken} differs"
    except Exception as error:  # broken zip files fail in many ways
        return _first_line(error)


def read(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's state on the CPU; ZoetropeError when it is damaged or of another version."""
    path = folder / FILE
    try:
        if found := damage(folder):
            raise ZoetropeError(found)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and pickle fail in many ways
        raise ZoetropeError(f"{path}: cannot be read as a checkpoint ({_first_line(error)}); {_ANEW}") from error
    schema = state.get("schema") if isinstance(state, dict) else None
    if schema != SCHEMA:
        raise ZoetropeError(f"{path}: is a checkpoint of schema {schema}, this version reads {SCHEMA}; {_ANEW}")
    return dict(state)


def restore(folder: Path, parts: Mapping[str, Stateful]) -> tuple[int, dict[str, float], dict[str, Bad]]:
    """Load a checkpoint into all `parts`; returns the next step to do, the metrics so far and the bad samples.

    A schedule that follows what is measured begins anew where the checkpoint is one of another, as pbt makes them.
    """
    state = read(folder)
    for name, part in parts.items():
        if name in state or name != SCHEDULE:
            part.load_state_dict(state[name])
    return int(state["step"]), dict(state["metrics"]), dict(state["bad"])


def final_weights(state: dict[str, Any]) -> dict[str, Tensor]:
    """Return what a training makes: the best weights when it keeps them, else their average, else the last ones."""
    if best := state.get("early_stopping", {}).get("weights"):
        return dict(best)
    if "ema" in state:
        return {name[len(AVERAGED) :]: value for name, value in state["ema"].items() if name.startswith(AVERAGED)}
    return dict(state["model"])


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write weights as safetensors."""
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, str(path))


def _digest_line(path: Path) -> bytes:
    return f"{sha256(path)}  {path.name}\n".encode()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
