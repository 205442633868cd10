"""Room on this node's disk for what is fetched: a limit, and what was not used for longest goes first."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base.lock import is_locked
from pipeline.base.size import parse_size
from pipeline.store.artifact import StoreError

LIMIT = "ZOETROPE_CACHE_LIMIT"
SHARE = 0.9
"""Of the disk's room that the cache may take when no limit is set."""
PART, RESERVED = ".part", ".reserved"
PAUSE_S = 0.1


@dataclass
class _Thing:
    """A file under all of its names: a blob and its links in artifacts."""

    bytes: int
    used_s: float
    paths: list[Path] = field(default_factory=list)


def limit_bytes(root: Path) -> int:
    """Return how much the cache may hold: ZOETROPE_CACHE_LIMIT, such as 200GB, else nine tenths
    of what the disk has.
    """
    text = os.environ.get(LIMIT)
    if text is None:
        held = held_bytes(root)
        return int(SHARE * (shutil.disk_usage(root).free + held))
    try:
        return parse_size(text)
    except ValueError:
        raise StoreError(f"{LIMIT}={text!r}: write a size, such as 200GB.") from None


def held_bytes(root: Path) -> int:
    """Return how much the cache holds now, with what is reserved."""
    with _alone(root):
        return sum(thing.bytes for thing in _things(root))


@contextmanager
def room(root: Path, blob: Path, wanted_bytes: int) -> Iterator[Callable[[Path], None]]:
    """Make room for a blob that is fetched inside: what was not used for longest is removed, until it fits.

    Gives the function that makes the fetched file the blob.

    Who has a removed file open keeps it; its room on the disk is free when the last one has let go of it. Raises
    StoreError for a blob that never fits.
    """
    limit = limit_bytes(root)
    if wanted_bytes > limit:
        raise StoreError(
            f"the cache {root} of this node may hold {limit:,} bytes, and one file has {wanted_bytes:,}. "
            f"Raise {LIMIT} on every node, or make the cache's disk larger."
        )
    reserved = blob.with_name(blob.name + RESERVED)
    while not _reserve(root, reserved, wanted_bytes, limit):
        time.sleep(PAUSE_S)  # all of it is being fetched; what is there in a moment may go

    # Both change at once for those who count: else it were counted twice or not at all.
    def keep(part: Path) -> None:
        with _alone(root):
            os.replace(part, blob)
            reserved.unlink(missing_ok=True)

    try:
        yield keep
    finally:
        with _alone(root):
            reserved.unlink(missing_ok=True)


def _reserve(root: Path, reserved: Path, wanted_bytes: int, limit: int) -> bool:
    """Make room, and an empty file that claims it, for those who fetch at the same time; False when there is none."""
    with _alone(root):
        things = _things(root)
        over = sum(thing.bytes for thing in things) + wanted_bytes - limit
        for thing in sorted(things, key=lambda thing: thing.used_s):
            if over <= 0:
                break
            path = thing.paths[0]
            if path.suffix in (PART, RESERVED) and is_locked(path.with_suffix(PART)):
                continue  # somebody is fetching it; without a lock, a killed process has left it
            for path in thing.paths:
                path.unlink(missing_ok=True)
            over -= thing.bytes
        if over <= 0:
            with reserved.open("wb") as file:
                file.truncate(wanted_bytes)
        return over <= 0


def touch(path: Path) -> bool:
    """Note that a file is used; False when it is not there."""
    try:
        os.utime(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:  # a cache that others share: then it is only older than it could be
        return path.exists()
    return True


def _things(root: Path) -> list[_Thing]:
    """Return what may be fetched again: blobs, and artifacts' links to them. Not work, runs and spools."""
    found: dict[tuple[int, int], _Thing] = {}
    for folder in (root / "blobs", *root.glob("stores/*/artifacts")):
        for parent, _, names in os.walk(folder):
            for name in names:
                with suppress(FileNotFoundError):
                    path = Path(parent, name)
                    if path.suffix == PART and path.with_suffix(RESERVED).exists():
                        continue
                    status = path.lstat()
                    thing = found.setdefault((status.st_dev, status.st_ino), _Thing(status.st_size, status.st_mtime))
                    thing.paths.append(path)
    return list(found.values())


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root / "room.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
