"""State dicts out of files and wrappers. Nothing is ever unpickled but tensors and plain containers."""

import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from models.weights.fetch import fetch, hub_url
from pipeline.base.errors import ZoetropeError

# Keys under which training scripts store the state dict, the likelier one first.
WRAPPERS = ("state_dict", "model_state", "model_state_dict", "model")


def read_state(source: str | Path | Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict of a path, http(s) URL, hub id `hf://organisation/name/file` or mapping, out of its wrappers.

    ZoetropeError when there is nothing to be found, the file is damaged or asks for objects to be unpickled.
    """
    if isinstance(source, Mapping):
        return unwrap(source, "the mapping")
    text = str(source)
    if text.startswith("hf://"):
        path = fetch(hub_url(text))
    elif text.startswith(("http://", "https://")):
        path = fetch(text)
    elif "://" in text:
        raise ZoetropeError(
            f"cannot read weights from {text}: give a path, an http(s) URL or a hub id hf://organisation/name/file"
        )
    else:
        path = Path(source)
        if not path.is_file():
            raise ZoetropeError(f"there is no weights file {text}; an id of the hub begins with hf://")
    return unwrap(_load(path), text)


def unwrap(found: Any, what: str) -> dict[str, Tensor]:
    """The state dict inside the dictionaries of a training script; ZoetropeError when there is none."""
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


def _load(path: Path) -> Any:
    """What a file holds, by its first bytes: names say little (`.pth`, `.pyth`, `.pth.tar`, `?dl=1`)."""
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
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # A damaged pickle can fail in any way.
        if wanted := re.search(r"Unsupported (?:global: GLOBAL|class) (\S+)", str(error)):
            raise ZoetropeError(
                f"{path} asks for a Python object to be unpickled ({wanted[1]}), which can run any code, and is "
                "refused. Where the file is trusted, save its state dict alone, best as .safetensors"
            ) from error
        raise _damaged(path, error) from error


def _is_safetensors(head: bytes, size_bytes: int) -> bool:
    """The length of a JSON header in 8 bytes, and its brace."""
    return len(head) == 9 and head[8:] == b"{" and struct.unpack("<Q", head[:8])[0] < max(size_bytes, 1 << 27)


def _damaged(path: Path, error: Exception) -> ZoetropeError:
    return ZoetropeError(f"{path} is damaged or cut short, fetch it again ({_reason(error)})")


def _reason(error: Exception) -> str:
    """What torch says, without its pages of advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith("Unsupported")] or lines or [type(error).__name__]
    return telling[0][:200]
