"""What a dataset folder holds: `dataset.json` lists its classes, splits and shards, so no index is read to plan.

* dataset.json
* train/shard-000000.tar, train/shard-000000.index.json, ...
* val/shard-000000.tar, ...
* test/shard-000000.tar, ..., where there is a test split
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.base.files import Files, as_files
from pipeline.decode.values import Values
from pipeline.shards.elsewhere import Elsewhere
from pipeline.shards.file_io import parse, read_capped
from pipeline.shards.index import index_path
from pipeline.shards.shard import DATASET_FILE, Count, Shard

MAX_DATASET_BYTES = 256 << 20  # about a million shards

Modality = Literal["video", "image"]


@dataclass(frozen=True)
class Split:
    """Shards in dataset order; `class_counts[label]` samples of each class."""

    samples: Count
    class_counts: tuple[Count, ...]
    shards: tuple[Shard, ...]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Samples of each shard, int64 [num_shards]."""
        return np.array([shard.samples for shard in self.shards], np.int64)

    @cached_property
    def _ends(self) -> list[int]:
        return np.cumsum(self.counts).tolist()

    def place(self, sample: int) -> tuple[int, int]:
        """Return (shard, index in it) of a sample by its number in the split."""
        shard = bisect_right(self._ends, sample)
        return shard, sample - self._ends[shard] + self.shards[shard].samples


@dataclass(frozen=True)
class Contents:
    """What `dataset.json` says. In schema 1 a sample has one class, so class counts add up. Schema 3 has what follows.

    amounts: of a split, the pixels or objects of each class in the companions of its samples
    members: of adopted tars, the extension of a companion in our shards -> the one that it has in these
    values:  of adopted tars, what the values of their masks mean
    most_objects: of a split, the most objects of one sample
    """

    schema: Literal[1, 2, 3]
    modality: Modality
    classes: tuple[str, ...]
    splits: dict[str, Split]
    amounts: dict[str, tuple[Count, ...]] | None = None
    members: dict[str, str] | None = None
    values: Values | None = None
    most_objects: dict[str, Count] | None = None


CONTENTS = TypeAdapter(Contents)


@dataclass(frozen=True)
class Dataset:
    """An opened dataset folder. `digest` is the sha256 of `dataset.json`, which holds that of every shard.

    amounts, members, values, most_objects: as of `Contents`, empty where there are none
    """

    files: Files
    modality: Modality
    classes: tuple[str, ...]
    splits: dict[str, Split]
    digest: str
    amounts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    members: Mapping[str, str] = field(default_factory=dict)
    values: Values | None = None
    most_objects: Mapping[str, int] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Its folder on this node; what was not fetched is not in it."""
        return self.files.path

    def split(self, name: str) -> Split:
        """Return a split by name. ZoetropeError, naming the nearest, when there is none."""
        if name not in self.splits:
            raise ZoetropeError(f"{self.files}: {unknown('split', name, self.splits)}")
        return self.splits[name]

    def fetch(self, *names: str) -> None:
        """Have all shards of these splits on this node, where they are not on a disk that it sees."""
        shards = [shard.name for name in names for shard in self.split(name).shards]
        self.files.fetch([*shards, *(index_path(Path(name)).as_posix() for name in shards)])


def open_dataset(folder: Path | Files) -> Dataset:
    """Open a dataset folder by its `dataset.json` alone. ZoetropeError when it is missing or does not add up."""
    files = as_files(folder)
    path = files.file(DATASET_FILE)
    content = read_capped(path, MAX_DATASET_BYTES, "dataset's list of shards")
    contents = parse(CONTENTS, content, path, "dataset's list of shards")
    for name, split in contents.splits.items():
        total = int(split.counts.sum())
        adds_up = total == split.samples and (contents.schema != 1 or total == sum(split.class_counts))
        counts = (split.class_counts, (contents.amounts or {}).get(name, split.class_counts))
        if not adds_up or any(len(one) != len(contents.classes) for one in counts):
            raise ZoetropeError(
                f"{path}: split {name!r} does not add up: {split.samples} samples, {total} in its shards, "
                f"{sum(split.class_counts)} in {len(split.class_counts)} classes of {len(contents.classes)}"
            )
    adopted = {shard.name: shard for split in contents.splits.values() for shard in split.shards if shard.at}
    if adopted and not isinstance(files, Elsewhere):
        files = Elsewhere(files, adopted)
    return Dataset(
        files,
        contents.modality,
        contents.classes,
        contents.splits,
        hashlib.sha256(content).hexdigest(),
        contents.amounts or {},
        contents.members or {},
        contents.values,
        contents.most_objects or {},
    )
