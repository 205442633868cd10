"""A folder a class: `train/<class>/*` and `val/<class>/*`, or one tree of `<class>/*` that is split by a ratio."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import seed64

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Candidate:
    """A file that may become a sample. `key` is its path in the source, with forward slashes."""

    key: str
    path: str
    class_name: str
    split: str


@dataclass(frozen=True)
class Listing:
    """What a folder holds: candidates sorted by key, and how many files of each other extension were passed over."""

    candidates: list[Candidate]
    others: Counter[str]


def walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below `root` that is not hidden: its path relative to `root`, and its status; sorted."""

    def refuse(error: OSError) -> NoReturn:
        raise ZoetropeError(f"data.source.path: {error.filename}: cannot be listed: {error.strerror}") from error

    if not root.is_dir():
        raise ZoetropeError(
            f"data.source.path: there is no folder {root}. It should hold one folder a class, "
            "or train/ and val/ with one folder a class in each."
        )
    for folder, names, files in os.walk(root, onerror=refuse):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if not name.startswith(".") and path.exists():
                yield path.relative_to(root).as_posix(), path.stat()


def digest(root: Path) -> str:
    """What the folder holds, by relative path, size and time of change; contents are hashed when they are sharded."""
    listing = hashlib.sha256()
    for key, status in walk(root):
        listing.update(f"{key}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return listing.hexdigest()


def held_out(key: str, share: float) -> bool:
    """Whether a ratio split gives this path to `val`: a hash of the path decides, so other files change nothing."""
    return seed64("split", key) < share * 2**63


def list_folder(root: Path, extensions: frozenset[str], val_share: float) -> Listing:
    """The candidates of a folder. Errors say how the folder should look."""
    root = root.resolve()
    files = [key for key, _ in walk(root)]
    given = (root / "train").is_dir() and any(key.startswith("train/") and key.count("/") >= 2 for key in files)
    has_val = (root / "val").is_dir()
    if given and not has_val and any(not key.startswith("train/") for key in files):
        raise ZoetropeError(
            f"{root} has train/ but no val/ beside other folders. Name the held-out folder val/, "
            "or set data.source.path to the folder that holds one folder a class."
        )
    candidates, others, stray = [], Counter[str](), []
    for key in files:
        suffix = Path(key).suffix.lower()
        parts = key.split("/")
        split = parts.pop(0) if given and parts[0] in SPLITS else None
        if (given and split is None) or suffix not in extensions:
            others[suffix or "no extension"] += 1
        elif len(parts) < 2:
            stray.append(key)
        else:
            chosen = split if split and has_val else "val" if held_out(key, val_share) else "train"
            candidates.append(Candidate(key, str(root / key), parts[0], chosen))
    if not candidates:
        raise ZoetropeError(f"{root}: {_nothing(extensions, others, stray)}")
    if stray:
        others["outside of a class folder"] += len(stray)
    return Listing(candidates, others)


def _nothing(extensions: frozenset[str], others: Counter[str], stray: list[str]) -> str:
    wanted = ", ".join(sorted(extensions))
    if stray:
        return f"{stray[0]} and {len(stray) - 1} more lie beside the class folders; put each into a folder named after its class"
    if others:
        found = ", ".join(f"{count} x {name}" for name, count in others.most_common(5))
        return f"no file with one of the extensions {wanted}; there are {found}. Does task.kind fit this data?"
    return f"the folder is empty; it should hold one folder a class with files of {wanted}"
