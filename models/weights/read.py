"""State dicts out of files and wrappers. Nothing is ever unpickled but tensors and plain containers."""

import json
import re
import shlex
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from models.official import Official
from models.source import locate
from models.weights.beside import STAND_INS
from models.weights.fetch import cached_at, fetch, hub_url, moves
from models.weights.search import within
from pipeline.base.errors import ZoetropeError

# Keys under which training scripts store the state dict, the likelier one first.
WRAPPERS = ("state_dict", "model_state", "model_state_dict", "model")
# What an archive may unpack to: torch.save does not compress, and weights shrink little.
MOST_UNPACKED = 20
LEAST_UNPACKED_BYTES = 64 << 20
# For a file that holds objects: runs the code in it, and keeps the tensors.
SAVE_TENSORS = (
    'import torch; t = lambda x: x.state_dict() if hasattr(x, "state_dict") else {k: t(v) for k, v in x.items()} '
    "if isinstance(x, dict) else x if torch.is_tensor(x) else None; "
    'torch.save(t(torch.load(%s, map_location="cpu", weights_only=False)), %s)'
)


def unwrap(found: Any, what: str) -> dict[str, Tensor]:
    """Find the state dict inside the dictionaries of a training script; ZoetropeError when there is none."""
    for _ in range(3):
        wrapper = next((k for k in WRAPPERS if isinstance(found, Mapping) and isinstance(found.get(k), Mapping)), None)
        if wrapper is None:
            break
        found = found[wrapper]
    if not isinstance(found, Mapping) or not found:
        raise ZoetropeError(f"{what} holds no state dict: expected a dictionary of tensors, by name")
    odd = [str(name) for name, value in found.items() if not isinstance(name, str) or not isinstance(value, Tensor)]
    if odd:
        raise ZoetropeError(
            f"{what} is no state dict: {', '.join(odd[:5])} {'are' if len(odd) > 1 else 'is'} no tensor; "
            f"a state dict may stand alone or under one of: {', '.join(WRAPPERS)}"
        )
    return dict(found)


Source = str | Path | Official | Mapping[str, Any]
"""Where weights are: a path, an http(s) URL, a hub id, a row of `models.official`, or a state dict itself."""


def read_state(
    source: Source,
    pick: Callable[[Any, str], Any] = unwrap,
    say: Callable[[str], None] = warnings.warn,
) -> Any:
    """Return what `pick` takes out of the content of a path, http(s) URL, hub id `hf://organisation/name/file`,
    official row or mapping.

    `pick` gets the content, or the entry in it that the source names (`w.pth#state_dict_ema`), and what to call it.
    What is fetched may be older than what the hub has, as `say` then tells.

    ZoetropeError when there is nothing to be found, the file is damaged or asks for objects to be unpickled.
    """
    if isinstance(source, Mapping):
        return pick(source, "the mapping")
    content, (place, entry) = _load(local_file(source, say)), _place(source)
    return pick(within(content, entry, place) if entry else content, f"{place}#{entry}" if entry else place)


def _place(source: str | Path | Official) -> tuple[str, str]:
    return (source.url, "") if isinstance(source, Official) else locate(str(source))


def file_here(source: str | Path | Official) -> str | None:
    """Return the file of weights, with its `#entry`, where it is on this machine; None where it is to be fetched."""
    place, entry = _place(source)
    path = cached_at(hub_url(place) if place.startswith("hf://") else place) if "://" in place else Path(place)
    return (f"{path}#{entry}" if entry else str(path)) if path.is_file() else None


def local_file(source: str | Path | Official, say: Callable[[str], None] = warnings.warn) -> Path:
    """Find the file of weights at a path, or fetch that of a URL, a hub id or an official row; ZoetropeError for none.

    An `#entry` behind the place does not matter.
    """
    if isinstance(source, Official):
        return fetch(source.url, say=say, sha256=source.sha256)
    place, _ = locate(str(source))
    if place.startswith("hf://"):
        return fetch(hub_url(place), moving=moves(place), say=say)
    if place.startswith(("http://", "https://")):
        return fetch(place)
    if "://" in place:
        raise ZoetropeError(
            f"cannot read weights from {place}: give a path, an http(s) URL or a hub id hf://organisation/name/file"
        )
    if not Path(place).is_file():
        raise ZoetropeError(
            f"there is no weights file {place}; official ones have names such as imagenet1k, ids of the hub begin with "
            "hf://"
        )
    return Path(place)


def _load(path: Path) -> Any:
    """Return what a file holds, by its first bytes: names say little (`.pth`, `.pyth`, `.pth.tar`, `?dl=1`)."""
    with path.open("rb") as file:
        head = file.read(9)
    if _is_safetensors(head, path.stat().st_size):
        try:
            return load_file(path)
        except SafetensorError as error:
            raise _damaged(path, error) from error
    if not head.startswith((b"PK", b"\x80")):
        raise ZoetropeError(f"{path} is no weights file: it is neither safetensors nor what torch.save writes")
    try:
        _check_size(path)
        with torch.serialization.safe_globals(STAND_INS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except ZoetropeError:
        raise
    except Exception as error:  # A damaged pickle can fail in any way.
        if wanted := _wanted_code(str(error)):
            raise ZoetropeError(
                f"{path} asks for a Python object to be unpickled (it asks for {wanted}, which is code), and is "
                f"refused. Where the file is trusted, save its state dict alone: {_save_tensors(path)}"
            ) from error
        if "operand 149" in str(error):  # FRAME, with which the later protocols begin.
            raise ZoetropeError(
                f"{path} was pickled by protocol 4 or later, which torch does not read safely. Where the file is "
                f"trusted, save its tensors by torch.save's own: {_save_tensors(path)}"
            ) from error
        if "Invalid magic number" in str(error):
            raise ZoetropeError(
                f"{path} is a pickle that torch.save did not write. Where the file is trusted, unpickle it and save "
                "its tensors by torch.save"
            ) from error
        raise _damaged(path, error) from error


def _check_size(path: Path) -> None:
    """Raise ZoetropeError for an archive that becomes much larger when it is unpacked, by
    compression or by overlapping.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked_bytes = sum(entry.file_size for entry in archive.infolist())
    if unpacked_bytes > max(LEAST_UNPACKED_BYTES, MOST_UNPACKED * path.stat().st_size):
        raise ZoetropeError(
            f"{path} has {path.stat().st_size} bytes and would unpack to {unpacked_bytes}, more than {MOST_UNPACKED} "
            "times as many, which is refused: save the weights without compression"
        )


def _wanted_code(error: str) -> str | None:
    """Find the name that torch refuses to unpickle, by its message."""
    if "TorchScript archive" in error:
        return "a TorchScript program"
    found = re.search(r"Unsupported (?:global: )?(?:GLOBAL|class) (\S+)", error, re.IGNORECASE)
    return found[1] if found else None


def _save_tensors(path: Path) -> str:
    """Return the command line that saves the tensors of a trusted file."""
    new = path.with_name(f"{path.name}.tensors.pth")
    return f"python -c {shlex.quote(SAVE_TENSORS % (json.dumps(str(path)), json.dumps(str(new))))}"


def _is_safetensors(head: bytes, size_bytes: int) -> bool:
    """Tell whether a file begins with the length of a JSON header in 8 bytes, and its brace.

    An absurd length is for the library to refuse.
    """
    if len(head) < 9 or head[8:] != b"{":
        return False
    return not head.startswith((b"PK", b"\x80")) or struct.unpack("<Q", head[:8])[0] < max(size_bytes, 1 << 27)


def _damaged(path: Path, error: Exception) -> ZoetropeError:
    return ZoetropeError(f"{path} is damaged or cut short, fetch it again ({_reason(error)})")


def _reason(error: Exception) -> str:
    """Return what torch says, without its pages of advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith("Unsupported")] or lines or [type(error).__name__]
    return telling[0][:200]
