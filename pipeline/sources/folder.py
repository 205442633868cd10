"""A folder a class: `train/<class>/*` and `val/<class>/*`, or one tree of `<class>/*` that is split by a ratio."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import seed64

SPLITS = ("train", "val")
SPLIT_NAMES = frozenset({"train", "training", "val", "valid", "validation", "dev", "eval", "test", "testing"})
LAYOUT = "one folder a class, or train/ and val/ with one folder a class in each"


@dataclass(frozen=True)
class Candidate:
    """A file that may become a sample. `key` is its path in the source, with forward slashes."""

    key: str
    path: str
    class_name: str
    split: str


@dataclass(frozen=True)
class Listing:
    """What a folder holds: candidates sorted by key, and how many other files of which sort were passed over.

    `held_out_by_ratio` is False where the source itself says, by its folders, what is held out.
    """

    candidates: list[Candidate]
    others: Counter[str]
    held_out_by_ratio: bool


def walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below `root` that is not hidden: its path relative to `root` and its status, in a fixed order.

    Links are followed. One that leads nowhere counts as a file: reading it then tells so.
    """
    if not root.is_dir():
        what = "is a file" if root.is_file() else "is no folder" if root.exists() else "does not exist"
        raise _error(f"{root} {what}. It should be a folder with {LAYOUT}.")
    try:
        yield from _walk(root, "", ())
    except OSError as error:
        raise _error(f"{error.filename} cannot be listed: {error.strerror}. Mend its permissions.") from error


def _walk(folder: Path, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, os.stat_result]]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:  # a link back to a folder that it lies in
        return
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", (*above, here))
            continue
        try:
            status = entry.stat()
        except FileNotFoundError:
            status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):  # no pipe, which would block whoever opens it
            yield prefix + entry.name, status


def digest(root: Path) -> str:
    """What the folder holds, by relative path, size and time of change; contents are hashed when they are sharded."""
    listing = hashlib.sha256()
    for key, status in walk(root):
        listing.update(os.fsencode(key) + f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return listing.hexdigest()


def held_out(key: str, share: float) -> bool:
    """Whether a ratio split gives this path to `val`: a hash of the path decides, so other files change nothing."""
    return seed64("split", key) < share * 2**63


def list_folder(root: Path, extensions: frozenset[str], val_share: float) -> Listing:
    """The candidates of a folder. Raises ZoetropeError, which says how the folder should look."""
    root = root.resolve()
    others, keys, has_val = Counter[str](), [], False
    for key, _ in walk(root):
        has_val |= key.startswith("val/")
        suffix = Path(key).suffix.lower()
        if suffix not in extensions:
            others[suffix or "without an extension"] += 1
        elif not _is_utf8(key):
            others["with a name that is not UTF-8"] += 1
        else:
            keys.append(key)
    split_by_folders = _check_layout(root, keys, has_val)
    by_ratio = not (split_by_folders and has_val)
    candidates, stray = [], []
    for key in keys:
        parts = key.split("/")
        split = parts.pop(0) if split_by_folders else None
        if split not in (None, *SPLITS):
            others[f"in {split}" if parts else "outside of train/ and val/"] += 1
        elif len(parts) < 2:
            stray.append(key)
        else:
            chosen = split if split and not by_ratio else "val" if held_out(key, val_share) else "train"
            candidates.append(Candidate(key, str(root / key), parts[0], chosen))
    if not candidates:
        raise _error(_nothing(root, extensions, others, stray))
    if stray:
        others["outside of a class folder"] += len(stray)
    return Listing(sorted(candidates, key=lambda candidate: candidate.key), others, by_ratio)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_layout(root: Path, keys: list[str], has_val: bool) -> bool:
    """Whether the source's folders are splits, train/ and perhaps val/. Raises where they only look like splits."""
    tops = {key.split("/")[0] for key in keys if "/" in key}
    if any(key.startswith("train/") and key.count("/") >= 2 for key in keys):
        if not has_val and len(tops) > 1:
            beside = ", ".join(f"{name}/" for name in sorted(tops - {"train"})[:5])
            raise _error(
                f"{root} has train/ and {beside}, but no val/. Name the held-out folder val/, "
                f"or leave train/ alone: then a share of data.split.val is held out of it."
            )
        return True
    if tops and all(name.lower() in SPLIT_NAMES for name in tops):
        found = ", ".join(f"{name}/" for name in sorted(tops))
        raise _error(f"{root} has {found}. They look like splits, not like classes: it should hold {LAYOUT}.")
    return False


def _nothing(root: Path, extensions: frozenset[str], others: Counter[str], stray: list[str]) -> str:
    wanted = ", ".join(sorted(extensions))
    if stray:
        more = f" and {len(stray) - 1} more lie" if len(stray) > 1 else " lies"
        return f"{root}: {stray[0]}{more} beside the class folders. Put each file into a folder named after its class."
    if others:
        found = ", ".join(f"{count} x {name}" for name, count in others.most_common(5))
        return f"{root} holds no file of {wanted}, but {found}. Does task.kind fit this data?"
    return f"{root} is empty. It should hold {LAYOUT}; files may be {wanted}."


def _error(what: str) -> ZoetropeError:
    return ZoetropeError(f"data.source.path: {what}")
