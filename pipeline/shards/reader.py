"""Reads samples of a dataset folder by offset, in any order, without parsing tar headers."""

import hashlib
import json
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import ZoetropeError
from pipeline.base.files import Files
from pipeline.decode.values import Values
from pipeline.shards.dataset import open_dataset
from pipeline.shards.file_io import read_capped
from pipeline.shards.index import ABSENT, MAX_INDEX_BYTES, Labels, ShardIndex, index_path, parse_index
from pipeline.shards.shard import Shard, changed

# A mapped shard holds a file descriptor, and a process has 1,024 by default. Mapping one again costs 20 microseconds.
OPEN_SHARDS = 128
# An index takes about 150 bytes a sample. Reading one again costs more, so these are kept for longer.
INDEXED_SAMPLES = 500_000


@dataclass(frozen=True, slots=True)
class RawSample:
    """One stored sample, still encoded. `data` is a view of the mapped tar: read-only, nothing is copied."""

    data: memoryview
    extension: str
    label: int | tuple[int, ...]
    key: str
    frames: int
    width: int
    height: int
    members: Mapping[str, memoryview] = field(default_factory=dict)
    values: Values | None = None
    decoded: dict[str, Any] = field(default_factory=dict)
    """Companions that were asked for."""

    def member(self, name: str) -> memoryview:
        """Return a companion, still encoded, by its extension in our shards: of those that the
        reader was told to need.
        """
        return self.members[name]

    def companion(self, name: str) -> Any:
        """Decode a companion, once; the values of a mask in an adopted tar become the numbers of classes. BadSample."""
        from pipeline.decode.members import MEMBERS, content_of

        if name not in self.decoded:
            self.decoded[name] = MEMBERS[name].read(content_of(name, self.members), self.values)
        return self.decoded[name]


@dataclass(frozen=True, eq=False)
class _Indexed:
    """What `read` needs of a shard's index; `offsets` and `lengths` are the image's or video's, int64 [n].

    members: of each companion that is needed, by its extension in our shards, its offsets and lengths likewise
    """

    index: ShardIndex
    column: NDArray[np.int64]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    members: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]]


class ShardReader:
    """Samples of one split of a dataset folder, whose files are fetched to this node as they are needed.

    Make one in each process: open files do not travel.
    """

    def __init__(self, folder: Path | Files, split: str, needs: frozenset[str] = frozenset()) -> None:
        """Read `dataset.json` only. ZoetropeError when it does not fit or has no such split.

        needs: companions that every sample must have, by their extensions in our shards; a shard is refused when its
               index lacks one
        """
        dataset = open_dataset(folder)
        self._folder, self._shards, self._values = dataset.files, dataset.split(split).shards, dataset.values
        mean = sum(shard.samples for shard in self._shards) // max(len(self._shards), 1)
        # Caches of plain functions: of bound methods they would hold the reader, and its open files, in a cycle.
        self._mapped = lru_cache(OPEN_SHARDS)(partial(_map, self._folder, self._shards))
        self._indexed = lru_cache(max(OPEN_SHARDS, INDEXED_SAMPLES // max(mean, 1)))(
            partial(_load_index, self._folder, self._shards, dataset.members, needs)
        )

    def read(self, shard: int, index: int) -> RawSample:
        """Read sample `index` of shard number `shard`, both from 0 in dataset order.

        IndexError when there is none; ZoetropeError, naming the shard, when its files are not what `dataset.json` says.
        The tar's content is not hashed here (`pipeline.cluster.whole_shards` does that, beside a run); its size and its
        whole index are compared.
        """
        indexed = self._indexed(shard)
        if not 0 <= index < len(indexed.offsets):
            raise IndexError(f"{self._shards[shard].name} has {len(indexed.offsets)} samples, no number {index}")
        columns = indexed.index
        tar = self._mapped(shard)
        return RawSample(
            _cut(tar, indexed.offsets, indexed.lengths, index),
            columns.extensions[indexed.column[index]],
            label if isinstance(label := columns.labels[index], tuple) else int(label),
            columns.keys[index],
            int(columns.frames[index]),
            int(columns.widths[index]),
            int(columns.heights[index]),
            {name: _cut(tar, *places, index) for name, places in indexed.members.items()},
            self._values,
        )

    def labels(self, shard: int) -> Labels:
        """Return the labels of a shard's samples, of its index alone. Errors as of `read`."""
        return self._indexed(shard).index.labels

    def sizes(self, shard: int) -> NDArray[np.int64]:
        """Return (height, width) in px of a shard's samples, int64 [n, 2], of its index alone. Errors as of `read`."""
        columns = self._indexed(shard).index
        return np.stack([columns.heights, columns.widths], axis=1)

    def frames(self, shard: int) -> NDArray[np.int64]:
        """Return the frames of a shard's samples, int64 [n], of its index alone. Errors as of `read`."""
        return self._indexed(shard).index.frames

    def source(self, shard: int, index: int) -> str:
        """Return the path in the source that a sample was made of, as its JSON says; its key where there is none.

        Of an adopted tar that is the tar's name and the key.
        """
        columns = self._indexed(shard).index
        key = columns.keys[index]
        if at := self._shards[shard].at:
            return f"{at.rpartition('/')[2]}/{key}"
        if "json" not in columns.extensions:
            return key
        column = columns.extensions.index("json")
        begin, length = int(columns.offsets[column, index]), int(columns.lengths[column, index])
        try:
            described = json.loads(bytes(self._mapped(shard)[max(begin, 0) : max(begin, 0) + length]))
        except ValueError:
            return key
        return str(described.get("source", key)) if isinstance(described, dict) else key


def _cut(tar: memoryview, offsets: NDArray[np.int64], lengths: NDArray[np.int64], index: int) -> memoryview:
    offset = int(offsets[index])
    return tar[offset : offset + int(lengths[index])]


def _load_index(
    folder: Files, shards: Sequence[Shard], names: Mapping[str, str], needs: frozenset[str], number: int
) -> _Indexed:
    """Load the index of a shard, whole; `names` are those of companions in adopted tars."""
    if not 0 <= number < len(shards):
        raise IndexError(f"{folder} has {len(shards)} shards in this split, no number {number}")
    listed = shards[number]
    path = folder.file(index_path(Path(listed.name)).as_posix())
    content = read_capped(path, MAX_INDEX_BYTES, "shard index")
    if hashlib.sha256(content).hexdigest() != listed.index_sha256:
        raise changed(path, listed)
    index = parse_index(content, listed.bytes, path)
    if len(index) != listed.samples or index.tar != Path(listed.name).name:
        raise changed(path, listed)
    column = index.data_column(names.values())
    sample = np.arange(len(index))
    members = {name: _places(index, names.get(name, name), path) for name in sorted(_read(needs, names))}
    return _Indexed(index, column, index.offsets[column, sample], index.lengths[column, sample], members)


def _read(needs: frozenset[str], lying: Mapping[str, str]) -> frozenset[str]:
    """Return the members that are read for companions: in adopted tars objects may be those of an instance map."""
    if "objects.json" in needs and "inst.png" in lying:
        return needs - ({"objects.json"} - lying.keys()) | {"inst.png"}
    return needs


def _places(index: ShardIndex, extension: str, path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return offsets and lengths, int64 [n], of the members of an extension. ZoetropeError where a sample has none."""
    absent = np.full(len(index), ABSENT, np.int64)
    column = index.extensions.index(extension) if extension in index.extensions else None
    offsets, lengths = (absent, absent) if column is None else (index.offsets[column], index.lengths[column])
    if lacking := np.flatnonzero(offsets == ABSENT).tolist():
        raise ZoetropeError(
            f"{path}: {len(lacking)} of {len(index)} samples have no member .{extension}, such as "
            f"{index.keys[lacking[0]]!r}, and the recipe needs one of each; data.source or shard.flow gives them"
        )
    return offsets, lengths


def _map(folder: Files, shards: Sequence[Shard], number: int) -> memoryview:
    """Map the whole tar into memory. It is unmapped when the cache and the last sample's `data` have let go of it."""
    listed = shards[number]
    for is_last in (False, True):
        path = folder.file(listed.name)
        try:
            with path.open("rb") as file:
                mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            break
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
            # A node's cache may have made room for another shard just now; then it is fetched again.
            if is_last or not isinstance(error, FileNotFoundError):
                raise ZoetropeError(f"{path}: this shard cannot be read: {error}") from error
    if len(mapped) != listed.bytes:
        raise changed(path, listed)
    return mapped
