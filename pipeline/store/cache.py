"""What a node has fetched from stores: files under the sha256 of their content, checked once, shared by everything.

    blobs/ab/abcdef...        a file, by its sha256; read-only
    blobs/ab/abcdef....part   one that is being fetched, locked by who does it
    stores/<id>/...           a store's folders on this node: artifacts (links to blobs), work, runs, spool
    feed/...                  decoded pixels of trainings that run, see `pipeline.feed.cache`

All of it may be removed while nothing runs. What was not used for longest is removed when the limit is reached, see
`pipeline.store.eviction`.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.store.artifact import StoreError
from pipeline.store.eviction import PART, limit_bytes, room, touch
from pipeline.store.objects import Objects, parallel

VARIABLE = "ZOETROPE_CACHE"
MAKE_ANEW = "Remove the object and run again; its stage is then made again."


def cache_root() -> Path:
    """Return ZOETROPE_CACHE, else ~/.cache/zoetrope. Should be on a disk of the node's own."""
    return Path(os.environ.get(VARIABLE) or "~/.cache/zoetrope").expanduser().absolute()


def store_home(url: str) -> Path:
    """Return the folder of a store in this node's cache."""
    return cache_root() / "stores" / hashlib.sha256(url.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Kept:
    """Where an artifact's file is kept: the object's key in the store, and what must come out of it."""

    at: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class CachedFiles:
    """The files of an artifact in a store that is no folder, fetched when asked for: `pipeline.base.files.Files`."""

    url: str
    folder: str
    """Its folder below the store's home, named after its content as well: artifacts of one fingerprint may differ."""
    kept: dict[str, Kept]

    @property
    def path(self) -> Path:
        """Where the fetched files are on this node."""
        return store_home(self.url) / self.folder

    def file(self, name: str) -> Path:
        """Return the local path of a file, fetched first when this node does not have it.

        ZoetropeError when there is none.
        """
        path = self.path / name
        if name not in self.kept:
            return path  # does not exist; who opens it says so in his own words
        while not touch(path):
            blob = fetch(Objects(self.url), self.kept[name])
            with in_words(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                # Another process was quicker; or has made room for something else meanwhile.
                with suppress(FileExistsError, FileNotFoundError):
                    os.link(blob, path)
        return path

    def fetch(self, names: Iterable[str]) -> None:
        """Have these files on this node, several fetched at a time."""
        for _ in parallel(self.file, names):
            pass

    def is_fetched(self, name: str) -> bool:
        """Return True: all files are fetched."""
        return True

    def __str__(self) -> str:
        return f"{self.url}/{self.folder.rpartition('-')[0]}"


def fetch(objects: Objects, kept: Kept, otherwise: str = MAKE_ANEW) -> Path:
    """Fetch the blob of an object's content. StoreError when it is gone, or is not what was stored, twice.

    `otherwise`: what to do then, in the words of the error.
    """
    blob = _blob(kept.sha256)
    if touch(blob):
        return blob
    with _fetching(blob) as part:
        for _ in range(2):
            if touch(blob):  # another process has fetched it meanwhile
                return blob
            with suppress(FileNotFoundError):  # fetched by another one, and evicted again
                os.truncate(part, 0)  # what a killed process left counts beside what is reserved for it
            with room(cache_root(), blob, kept.bytes) as keep:
                try:
                    objects.download(kept.at, part)
                except FileNotFoundError:
                    raise StoreError(
                        f"{objects.url}/{kept.at} is gone from the store, and was there when this run began. Run again."
                    ) from None
                with open(part, "rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() == kept.sha256:
                        os.chmod(part, 0o444)
                        keep(part)
                        return blob
    raise StoreError(f"{objects.url}/{kept.at} is not what it was when it was stored: its sha256 differs. {otherwise}")


def adopt(path: Path, sha256: str) -> None:
    """Take a local file into the cache, under the sha256 that it has, if there is room; it keeps its name, too."""
    blob, size = _blob(sha256), path.stat().st_size
    if touch(blob) or size > limit_bytes(cache_root()):
        return
    with in_words(blob):
        blob.parent.mkdir(parents=True, exist_ok=True)
        with room(cache_root(), blob, size), suppress(FileExistsError):
            os.chmod(path, 0o444)  # not the blob, which another process may evict at once
            os.link(path, blob)


def _blob(sha256: str) -> Path:
    return cache_root() / "blobs" / sha256[:2] / sha256


@contextmanager
def _fetching(blob: Path) -> Iterator[Path]:
    """Yield a name to fetch to, held by one process at a time; what a killed one left of it is written over."""
    part = blob.with_name(blob.name + PART)
    with in_words(blob):
        blob.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield part
        finally:
            if blob.exists():  # else it stays: who waits for it has it open, and another file would have another lock
                part.unlink(missing_ok=True)
            os.close(descriptor)


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turn an OSError of the cache's disk into a StoreError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            raise StoreError(
                f"the cache {cache_root()} of this node cannot take {path.name}: {error.strerror}. "
                f"Make room there, or set {VARIABLE} to a folder on another disk, on every node."
            ) from error
        raise
