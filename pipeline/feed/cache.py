"""Decoded pixels that a node keeps for the epochs to come: `feed.cache`, a file that all its feeds map into memory.

    [count | starts | there]  [sample 0 ......][sample 1 ..][sample 3 ...
     int64   int64    uint8    decoded, each from a cache line on

Which samples have a place, and where, follows from the shards' indices and the limit: in dataset order, the training
split before the one that is evaluated in its midst, until no more fit. A sample's pixels are written first, and then
its byte in `there`, so one whose writer was killed is decoded again. Two that write the same sample write the same, so
nobody locks.

A file lives as long as a process has it open, which holds a shared lock of it. Who closes it last removes it, and who
opens one removes what killed processes have left.
"""

import errno
import fcntl
import hashlib
import mmap
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import prod
from multiprocessing.reduction import DupFd
from pathlib import Path
from stat import S_ISDIR
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from pipeline.base.bands import Bands
from pipeline.base.lock import is_locked
from pipeline.base.size import parse_size
from pipeline.feed.ring import SHARED
from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset
from pipeline.shards.reader import RawSample, ShardReader
from pipeline.store.cache import VARIABLE, cache_root

Int64 = NDArray[np.int64]
Pixels = NDArray[Any]

SPLITS = ("train", "val")
"""Those whose samples come again in a training."""
MOST_FRAMES = 64
"""Of a video that is kept. All of its frames are decoded when it comes first, and a clip needs fewer: of a long one far
fewer, and it would take the place of many short ones."""
SPARE = 2
"""So many times the file's size must be free: Ray's object store and the feeds' rings need room too."""
LOCK = "lock"
_ALIGN_BYTES = 64
_ENTRY_BYTES = 9
"""Of a sample beside its pixels: where they begin, and whether they are there."""
_HEAD_BYTES = 2 * 8 + _ALIGN_BYTES
"""At most, of all others: the count, the last end, and what brings the first sample to a cache line."""


@dataclass(frozen=True)
class Place:
    """Where a sample's pixels are kept. `there`: uint8 [1], not 0 once they are."""

    pixels: Pixels
    there: NDArray[np.uint8]

    @property
    def is_there(self) -> bool:
        """Whether the pixels are kept by now."""
        return bool(self.there[0])

    def get(self) -> Pixels | None:
        """Return the pixels, not to be written to; None when they are not there."""
        if not self.is_there:
            return None
        pixels = self.pixels.view()
        pixels.flags.writeable = False
        return pixels

    def put(self, decoded: Pixels) -> None:
        """Keep what was decoded; nothing where it is not what the index says."""
        if decoded.shape == self.pixels.shape and decoded.dtype == self.pixels.dtype:
            self.pixels[...] = decoded
            self.there[0] = 1


class Cache:
    """An open file of kept pixels. It can be handed to a process as it is started, which then holds it, too.

    path:  where it is
    first: of each split that it has, the number of the first sample
    dtype: of the pixels
    """

    def __init__(self, descriptor: int, path: Path, first: dict[str, int], dtype: str) -> None:
        """Map a file that `_make` has made, and whose lock the descriptor holds."""
        self.descriptor, self.path, self.first, self.dtype = descriptor, path, first, np.dtype(dtype)
        self._mapped = mmap.mmap(descriptor, 0)
        self.bytes = len(self._mapped)
        self.count = int(np.frombuffer(self._mapped, np.int64, 1)[0])
        self.starts = np.frombuffer(self._mapped, np.int64, self.count + 1, 8)
        self.there = np.frombuffer(self._mapped, np.uint8, self.count, 8 * (self.count + 2))

    def __reduce__(self) -> Any:
        """Give the process that is started the file's open description, and so its lock."""
        return _received, (DupFd(self.descriptor), self.path, self.first, self.dtype.str)

    def place(self, split: str, sample: int, shape: tuple[int, ...]) -> Place | None:
        """Return the place of a sample of a split whose decoded pixels have that shape; None where it has none."""
        number = self.first.get(split, self.count) + sample
        if number >= self.count or (start := int(self.starts[number])) == self.starts[number + 1]:
            return None
        pixels = np.frombuffer(self._mapped, self.dtype, prod(shape), start).reshape(shape)
        return Place(pixels, self.there[number : number + 1])

    def close(self) -> None:
        """Let go of the file, and remove it when nobody else has it open. Its processes must have ended."""
        with suppress(OSError), _alone() as folders:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)  # of all descriptors, that of the mapping too
            _sweep(folders)
        os.close(self.descriptor)


def _received(descriptor: Any, *arguments: Any) -> Cache:
    return Cache(descriptor.detach(), *arguments)


def opened(recipe: Recipe, dataset: Dataset, is_made: bool, say: Callable[[str], None]) -> Cache | None:
    """Open the node's kept pixels; None where the recipe asks for none, where there is no room, and where there are
    none yet and none is to be made: by a feed whose samples do not come again. `say` is told of no room.
    """
    if recipe.feed.cache is None or recipe.sees_flow_alone:
        return None
    name = _name(recipe, dataset)
    try:
        with _alone() as folders:
            _sweep(folders)
            for folder in folders:
                if (path := folder / name).exists():
                    return _cache(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), path, recipe, dataset)
            return _make(folders, name, recipe, dataset, say) if is_made else None
    except OSError as error:
        say(f"feed.cache: no decoded pixels are kept: {error.filename or cache_root()}: {error.strerror}")
        return None


def words(recipe: Recipe, dataset: Dataset) -> str:
    """Tell how many training samples have a place, in a sentence."""
    assert recipe.feed.cache is not None
    every = dataset.split("train").samples
    fit = int((placed_bytes(recipe, dataset)[:every] > 0).sum())
    rest = f"; videos of more than {MOST_FRAMES} frames are not kept" if dataset.modality == "video" else ""
    return f"feed.cache: {fit:,} of {every:,} training samples fit in {recipe.feed.cache}{rest}"


def shape_of(recipe: Recipe, raw: RawSample) -> tuple[int, ...]:
    """Return the shape of a stored sample's decoded pixels, as its shard's index says: [(T,) H, W, C]."""
    frames = (raw.frames,) if recipe.task.modality == "video" else ()
    return (*frames, raw.height, raw.width, recipe.data.bands.channels)


def placed_bytes(recipe: Recipe, dataset: Dataset) -> Int64:
    """Return the bytes of the decoded pixels of the samples that have a place, int64 [m], 0 for one that is not kept.

    Samples are counted over `SPLITS`. Indices are read as far as there is room.
    """
    limit, parts = parse_size(recipe.feed.cache or "0"), []
    left = limit - _HEAD_BYTES
    for split in (name for name in SPLITS if name in dataset.splits):
        reader = ShardReader(dataset.files, split)
        for shard in range(len(dataset.splits[split].shards)):
            of = _bytes(reader.sizes(shard), reader.frames(shard), dataset.modality == "video", recipe.data.bands)
            parts.append(of[: fitting(of, left)])
            left -= int(_costs(parts[-1]).sum())
            if len(parts[-1]) < len(of):
                return np.concatenate(parts)
    return np.concatenate([np.zeros(0, np.int64), *parts])


def fitting(nbytes: Int64, room: int) -> int:
    """Count the first samples, of so many bytes each, that fit in `room` bytes with what is noted of each."""
    return int(np.searchsorted(np.cumsum(_costs(nbytes)), room, side="right"))


def layout(nbytes: Int64) -> Int64:
    """Return where samples of so many bytes lie in a file, int64 [m + 1]: the last one is where the file ends."""
    head = (len(nbytes) + 2) * 8 + len(nbytes)
    return np.concatenate([[0], np.cumsum(_aligned(nbytes))]) + int(_aligned(np.int64(head)))


def _costs(nbytes: Int64) -> Int64:
    return _aligned(nbytes) + _ENTRY_BYTES


def _aligned(nbytes: Any) -> Any:
    return -(-nbytes // _ALIGN_BYTES) * _ALIGN_BYTES


def _bytes(sizes: Int64, frames: Int64, is_video: bool, bands: Bands) -> Int64:
    """Return the bytes of decoded pixels, int64 [n]; 0 of a video that is not kept."""
    each = sizes.prod(axis=1) * bands.channels * np.dtype(bands.dtype).itemsize
    return each * frames * (frames <= MOST_FRAMES) if is_video else each


def _name(recipe: Recipe, dataset: Dataset) -> str:
    """Return the file's name: by the data, what is made of them, and the node, as home folders may be shared."""
    parts = dataset.digest, tuple(recipe.data.bands), recipe.feed.cache, socket.gethostname(), sys.prefix
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _cache(descriptor: int, path: Path, recipe: Recipe, dataset: Dataset) -> Cache:
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    first, number = {}, 0
    for split in (name for name in SPLITS if name in dataset.splits):
        first[split] = number
        number += dataset.splits[split].samples
    return Cache(descriptor, path, first, recipe.data.bands.dtype)


def _make(folders: list[Path], name: str, recipe: Recipe, dataset: Dataset, say: Callable[[str], None]) -> Cache | None:
    """Make the file where there is room: all of it is set aside, as writing to a full disk would kill the process."""
    nbytes = placed_bytes(recipe, dataset)
    if not nbytes.any():
        say(words(recipe, dataset))
        return None
    starts = layout(nbytes)
    size, tried = int(starts[-1]), []
    for folder in folders:
        free = _free_bytes(folder)
        tried.append(f"{folder} {free / 2**30:.1f} GiB")
        if free < SPARE * size:
            continue
        path = folder / name
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _set_aside(descriptor, size)
            os.pwrite(descriptor, np.array([len(nbytes), *starts], np.int64).tobytes(), 0)
            return _cache(descriptor, path, recipe, dataset)
        except OSError as error:
            os.close(descriptor)
            path.unlink()
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
    say(
        f"feed.cache: no decoded pixels are kept, as {size / 2**30:.1f} GiB need {SPARE} times as much free, and "
        f"{' and '.join(tried) or 'no folder'} have; lower feed.cache, or set {VARIABLE} to a folder on another disk"
    )
    return None


def _set_aside(descriptor: int, size: int) -> None:
    if reserve := getattr(os, "posix_fallocate", None):
        reserve(descriptor, 0, size)
    else:  # macOS
        os.ftruncate(descriptor, size)


def _free_bytes(folder: Path) -> int:
    """Return how much a folder can take; of memory no more than this machine, or container, has left."""
    free = shutil.disk_usage(folder).free
    if folder.parent != SHARED:
        return free
    free = min(free, psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # "max": there is no limit
        group = Path("/sys/fs/cgroup")
        used = int((group / "memory.current").read_text())
        free = min(free, int((group / "memory.max").read_text()) - used)
    return free


@contextmanager
def _alone() -> Iterator[list[Path]]:
    """Yield the folders for kept pixels, of this user alone, the better one first; one process at a time is here."""
    folders, locks = [], []
    try:
        for folder in (SHARED / f"zoetrope-{os.geteuid()}", cache_root() / "feed"):
            if folder.parent == SHARED and not SHARED.is_dir():
                continue
            with suppress(OSError):  # a disk that is read-only, or full
                folder.mkdir(0o700, parents=True, exist_ok=True)
                status = folder.lstat()
                if S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077:
                    locks.append(os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
                    fcntl.flock(locks[-1], fcntl.LOCK_EX)
                    folders.append(folder)
        yield folders
    finally:
        for descriptor in locks:
            os.close(descriptor)


def _sweep(folders: list[Path]) -> None:
    """Remove the files that no process has open."""
    for folder in folders:
        for path in folder.iterdir():
            if path.name != LOCK and not is_locked(path):
                path.unlink(missing_ok=True)
