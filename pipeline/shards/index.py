"""The index beside a shard: where each member's bytes lie in the tar, and what a planner needs without opening it.

`shard-000000.index.json` holds columns, one entry a sample; offsets and lengths have one such column an extension.
An offset is that of the member's data, so one read at (offset, length) gives the bytes and no tar header is parsed.
The column `labels` holds a class number a sample. In schema 2, of multi-label tasks, it holds the class numbers of all
samples one after the other, and `label_counts` says how many of them each sample has.
"""

import json
import tarfile
from collections.abc import Collection
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from pipeline.base.errors import ZoetropeError
from pipeline.shards.file_io import parse, read_capped, write_bytes

Int64 = NDArray[np.int64]

Labels = Int64 | tuple[tuple[int, ...], ...]
"""A class number a sample, int64 [n]; or a set of them a sample, each ascending."""

MAX_INDEX_BYTES = 64 << 20
ABSENT = -1  # offset and length of a member that a sample does not have

# Members that describe a sample; the other one is the image or the video.
DESCRIPTIONS = ("cls", "json")


@dataclass(frozen=True, eq=False)
class ShardIndex:
    """The columns of a shard of n samples whose members have e different extensions.

    tar:        the name of the tar beside the index
    keys:       [n], unique; only folders of adopted tars have dots (WebDataset ends a key at a name's first dot)
    extensions: [e], without a leading dot
    offsets:    int64 [e, n], of the member's data in the tar, in bytes; -1 where a sample lacks the member
    lengths:    int64 [e, n], in bytes; -1 likewise
    labels:     `Labels` of n samples
    frames, widths, heights: int64 [n]
    """

    tar: str
    keys: tuple[str, ...]
    extensions: tuple[str, ...]
    offsets: Int64
    lengths: Int64
    labels: Labels
    frames: Int64
    widths: Int64
    heights: Int64

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def flat_labels(self) -> Int64:
        """All class numbers of all samples, one after the other."""
        return self.labels if isinstance(self.labels, np.ndarray) else np.array([*chain(*self.labels)], np.int64)

    def data_column(self, companions: Collection[str] = ()) -> Int64:
        """Tell which extension is each sample's image or video, int64 [n]. ZoetropeError when it has none, or several.

        companions: extensions of adopted tars that are none of these, and have no dot
        """
        described = {*DESCRIPTIONS, *companions}
        names = [extension not in described and "." not in extension for extension in self.extensions]
        data = np.array(names, bool)[:, None] & (self.offsets != ABSENT)
        wrong = np.flatnonzero(data.sum(0) != 1)
        if wrong.size:
            raise ZoetropeError(
                f"{self.tar}: sample {self.keys[wrong[0]]!r} has {data[:, wrong[0]].sum()} members that could be "
                f"its image or video; each sample needs exactly one beside {' and '.join(DESCRIPTIONS)}"
            )
        return data.argmax(0)


_Column = list[int]


@dataclass(frozen=True)
class _File:
    schema: Literal[1, 2]
    tar: Annotated[str, Field(pattern=r"^[\w-]+\.tar$")]
    samples: Annotated[int, Field(ge=0)]
    keys: list[str]
    extensions: list[str]
    offsets: list[_Column]
    lengths: list[_Column]
    labels: _Column
    frames: _Column
    widths: _Column
    heights: _Column
    label_counts: _Column | None = None


_FILE = TypeAdapter(_File)


def index_path(tar: Path) -> Path:
    """Map `shard-000000.tar` -> `shard-000000.index.json`."""
    return tar.with_suffix(".index.json")


def write_index(path: Path, index: ShardIndex, tar_bytes: int) -> None:
    """Write the index, whole or not at all. ZoetropeError when it does not fit a tar of `tar_bytes`."""
    _check(index, tar_bytes, path)
    content = {
        "schema": 1,
        "tar": index.tar,
        "samples": len(index),
        "keys": list(index.keys),
        "extensions": list(index.extensions),
        "offsets": index.offsets.tolist(),
        "lengths": index.lengths.tolist(),
        "labels": index.flat_labels.tolist(),
        "frames": index.frames.tolist(),
        "widths": index.widths.tolist(),
        "heights": index.heights.tolist(),
    }
    if isinstance(index.labels, tuple):
        content |= {"schema": 2, "label_counts": [len(one) for one in index.labels]}
    encoded = json.dumps(content, separators=(",", ":")).encode()
    if len(encoded) > MAX_INDEX_BYTES:
        raise ZoetropeError(
            f"{path}: an index may have {MAX_INDEX_BYTES} bytes, this one has {len(encoded)}: lower shard.samples"
        )
    write_bytes(path, encoded)


def read_index(path: Path, tar_bytes: int) -> ShardIndex:
    """Read the index of a tar that has `tar_bytes`. ZoetropeError, naming the file, when anything does not fit."""
    return parse_index(read_capped(path, MAX_INDEX_BYTES, "shard index"), tar_bytes, path)


def parse_index(content: bytes, tar_bytes: int, path: Path) -> ShardIndex:
    """Parse as `read_index` does that are there already; `path` is for the errors."""
    file = parse(_FILE, content, path, "shard index")
    columns = (
        file.labels if file.label_counts is None else file.label_counts,
        file.frames,
        file.widths,
        file.heights,
        *file.offsets,
        *file.lengths,
    )
    lengths = {len(file.keys), *map(len, columns)}
    if lengths != {file.samples} or not len(file.offsets) == len(file.lengths) == len(file.extensions):
        raise ZoetropeError(f"{path}: the columns of this shard index differ in length; make the shard again")
    shape = (len(file.extensions), file.samples)
    try:
        index = ShardIndex(
            file.tar,
            tuple(file.keys),
            tuple(file.extensions),
            np.array(file.offsets, np.int64).reshape(shape),
            np.array(file.lengths, np.int64).reshape(shape),
            _labels(file, path),
            np.array(file.frames, np.int64),
            np.array(file.widths, np.int64),
            np.array(file.heights, np.int64),
        )
    except OverflowError as error:
        raise ZoetropeError(f"{path}: this shard index holds a number beyond 64 bits; make the shard again") from error
    _check(index, tar_bytes, path)
    return index


def _labels(file: _File, path: Path) -> Labels:
    counts, flat = file.label_counts, file.labels
    if (counts is None) != (file.schema == 1):
        raise ZoetropeError(f"{path}: label_counts belong to schema 2, and this shard index has schema {file.schema}")
    if counts is None:
        return np.array(flat, np.int64)
    ends = [*accumulate(counts)]
    if min(counts, default=0) < 0 or sum(counts) != len(flat):
        raise ZoetropeError(f"{path}: label_counts do not add up to {len(flat)} labels; make the shard again")
    return tuple(tuple(flat[end - count : end]) for count, end in zip(counts, ends, strict=True))


def _check(index: ShardIndex, tar_bytes: int, path: Path) -> None:
    """Raise ZoetropeError when keys are not usable or a member does not lie inside of a tar of `tar_bytes`."""
    keys = index.keys
    dotted = [key for key in keys if not (last := key.rpartition("/")[2]) or "." in last]
    if dotted:
        raise ZoetropeError(
            f"{path}: sample key {dotted[0]!r} is empty or has a dot in its last part; WebDataset ends a key there: "
            "rename it"
        )
    if len(set(keys)) != len(keys):
        raise ZoetropeError(f"{path}: {len(keys) - len(set(keys))} sample keys occur twice; make the shard again")
    if (index.flat_labels < 0).any():
        raise ZoetropeError(f"{path}: labels are class numbers from 0, one here is {index.flat_labels.min()}")
    if not isinstance(index.labels, np.ndarray) and any(sorted(set(one)) != list(one) for one in index.labels):
        raise ZoetropeError(f"{path}: a sample's list of labels must be ascending and without repeats")
    absent = (index.offsets == ABSENT) & (index.lengths == ABSENT)
    # Written without a sum, which could overflow. Data begin behind a 512-byte header, on a 512-byte border.
    fits = (index.offsets >= tarfile.BLOCKSIZE) & (index.offsets % tarfile.BLOCKSIZE == 0) & (index.lengths >= 0)
    fits &= index.lengths <= tar_bytes - index.offsets
    wrong = np.argwhere(~(absent | fits))
    if wrong.size:
        column, sample = wrong[0]
        raise ZoetropeError(
            f"{path}: member {keys[sample]}.{index.extensions[column]} at {index.offsets[column, sample]} with "
            f"{index.lengths[column, sample]} bytes does not lie inside of {index.tar}, which has {tar_bytes} bytes; "
            "make the shard again"
        )
