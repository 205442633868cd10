"""What a training needs to go on: model, optimizer, cursor, bad samples, recipe, ... Nothing is unpickled.

    checkpoint.pt           the state, as torch writes it
    checkpoint.pt.sha256    its digest, as `sha256sum` writes it

torch compares nothing when it reads. A zip has a CRC of each member, but not of its directory: of all 47,528 flips of
one bit in a small checkpoint, 15 loaded as other weights though the CRCs were right. So there is a digest. Checkpoints
of older versions have none; of these the CRCs are compared.
"""

import zipfile
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from itertools import zip_longest
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


@dataclass(frozen=True)
class State:
    """What a checkpoint of one step holds, by name: tensors and plain values."""

    values: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        parts: Mapping[str, Stateful],
        step: int,
        metrics: dict[str, float],
        bad: dict[str, Bad],
        recipe: dict[str, Any],
    ) -> "State":
        """Collect it from all `parts`, whose tensors it shares: the next step changes it, so `save` or `copy` it now.

        `step` is the next one to do, `metrics` the last of the validation split, `bad` the bad samples of each split.
        """
        about = {"schema": SCHEMA, "step": step, "metrics": metrics, "bad": bad, "recipe": recipe}
        return cls(about | {name: part.state_dict() for name, part in parts.items()})

    def copy(self, over: "State | None" = None) -> "State":
        """Copy it into the CPU's memory, where training does not change it.

        `over`, a copy of an earlier step, is overwritten: new memory takes five times as long, page by page.
        """
        return State(_copied(self.values, over and over.values))

    def save(self, folder: Path) -> None:
        """Write a checkpoint into `folder`, which is made if need be. It is on the disk when this returns.

        OSError when the disk does not take it; what was in `folder` before is then as it was, or has a digest that
        differs.
        """
        path = folder / FILE
        with publishing(path) as temporary, temporary.open("wb") as file:
            try:
                torch.save(self.values, file)
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


def _copied(value: Any, over: Any) -> Any:
    """Copy what a state dict holds: tensors to the CPU, containers as they are, plain values not at all.

    Tensors of the same place, shape and type in `over` take the values.
    """
    if isinstance(value, Tensor):
        fits = isinstance(over, Tensor) and (over.shape, over.dtype) == (value.shape, value.dtype)
        return over.copy_(value.detach()) if fits else value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        before = over if isinstance(over, dict) else {}
        new = copy(value)  # with the versions of modules that an OrderedDict of `nn.Module` has as an attribute
        new.update((key, _copied(each, before.get(key))) for key, each in value.items())
        return new
    if isinstance(value, list | tuple):
        earlier = over[: len(value)] if type(over) is type(value) else ()
        return type(value)(_copied(each, last) for each, last in zip_longest(value, earlier))
    return value


def _digest_line(path: Path) -> bytes:
    return f"{sha256(path)}  {path.name}\n".encode()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
