"""Writes shards: plain WebDataset tars, each with its index. The same samples give the same bytes."""

import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.decode.values import Values
from pipeline.shards.dataset import CONTENTS, Contents, Dataset, Modality, Split, open_dataset
from pipeline.shards.file_io import TEMPORARY, publishing, sha256, write_bytes
from pipeline.shards.index import ABSENT, DESCRIPTIONS, Labels, ShardIndex, index_path, write_index
from pipeline.shards.shard import DATASET_FILE, Shard


@dataclass(frozen=True)
class StoredSample:
    """One labelled image or video, ready to be stored.

    extension: of the data, without a dot ("mp4", "jpg")
    data:      the encoded image or video, as stored
    label, class_name: its class; of a multi-label task all its classes, by ascending number
    source:    key of the file that it comes from
    sha256:    of that file's content
    width, height (px), frames, fps, duration_s: of what is stored
    members:   companions, by extensions that have a dot ("seg.png")
    amounts:   class number -> its pixels or objects in these
    objects:   the number of objects in these
    """

    extension: str
    data: bytes
    label: int | tuple[int, ...]
    class_name: str | tuple[str, ...]
    source: str
    sha256: str
    width: int
    height: int
    frames: int
    fps: float
    duration_s: float
    members: Mapping[str, bytes] = field(default_factory=dict)
    amounts: Mapping[int, int] = field(default_factory=dict)
    objects: int = 0


@dataclass(frozen=True)
class ShardInfo(Shard):
    """A written shard; `class_counts[label]` samples, as long as its highest label asks. No samples: no files.

    amounts: likewise, the samples' pixels or objects of each class
    most_objects: of one sample
    """

    class_counts: tuple[int, ...] = ()
    amounts: tuple[int, ...] = ()
    most_objects: int = 0


def shard_name(split: str, number: int) -> str:
    """Return the path of a shard's tar in the dataset folder."""
    return f"{split}/shard-{number:06d}.tar"


def write_shard(folder: Path, split: str, number: int, first_key: int, samples: Iterable[StoredSample]) -> ShardInfo:
    """Write shard `number` of a split, its samples keyed from `first_key` on, and returns what was written.

    Both files appear whole, the index first, so a tar that is there is finished and has its index. What `samples`
    raises passes through and leaves nothing. A shard without samples leaves no files; `write_dataset` drops it.
    """
    import webdataset  # 1.2 s, it loads torch

    tar = Path(folder) / shard_name(split, number)
    samples = iter(samples)
    first = next(samples, None)
    if first is None:
        return ShardInfo(shard_name(split, number), samples=0, bytes=0, sha256="", index_sha256="", class_counts=())
    labels: list[int | tuple[int, ...]] = []
    sizes: list[tuple[int, int, int]] = []
    amounts: Counter[int] = Counter()
    most = 0
    with publishing(tar) as temporary:
        with (
            temporary.open("wb") as file,
            # Everything that tar headers hold beside name and size is fixed, so equal samples give equal bytes.
            webdataset.TarWriter(file, encoder=False, mtime=0, mode=0o444, user="zoetrope", group="zoetrope") as writer,
        ):
            for sample in chain((first,), samples):
                writer.write(_members(f"{first_key + len(sizes):09d}", sample))
                labels.append(sample.label)
                sizes.append((sample.frames, sample.width, sample.height))
                amounts.update(sample.amounts)
                most = max(most, sample.objects)
        index = _scan(temporary, tar.name, label_column(labels), sizes)
        write_index(index_path(tar), index, temporary.stat().st_size)
    return _info(Path(folder), split, number, index, amounts, most)


def _members(key: str, sample: StoredSample) -> dict[str, str | bytes]:
    """Return a sample as `TarWriter` takes it: its members in one dictionary."""
    if not re.fullmatch("[a-z0-9]+", sample.extension) or sample.extension in DESCRIPTIONS:
        raise ValueError(f"{sample.source}: {sample.extension!r} is no extension of an image or a video")
    for name in sample.members:
        if not re.fullmatch(r"[a-z0-9]+(\.[a-z0-9]+)+", name):
            raise ValueError(f"{sample.source}: {name!r} is no extension of a companion, which has a dot")
    left = ("data", "extension", "members", "amounts", "objects")
    described = {name: value for name, value in vars(sample).items() if name not in left}
    members: dict[str, str | bytes] = {"__key__": key, sample.extension: sample.data, **sample.members}
    if isinstance(sample.label, int):
        described["class"] = described.pop("class_name")
        members["cls"] = str(sample.label).encode()
    else:  # no .cls: readers of WebDataset take it for one number
        described["labels"], described["classes"] = described.pop("label"), described.pop("class_name")
    return members | {"json": json.dumps(described, sort_keys=True).encode()}


def label_column(labels: Sequence[int | tuple[int, ...]]) -> Labels:
    """Return the labels of a shard; all numbers or all sets."""
    sets = tuple(label for label in labels if isinstance(label, tuple))
    if not sets:
        return np.array(labels, np.int64)
    if len(sets) != len(labels):
        raise ValueError("some samples of this shard have one label and others a set of them")
    return sets


def _scan(path: Path, name: str, labels: Labels, sizes: Sequence[tuple[int, int, int]]) -> ShardIndex:
    """Scan the index of a tar just written, from its headers; `sizes` has frames, width and height of each sample."""
    keys: dict[str, int] = {}
    extensions: dict[str, int] = {}
    members = []
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            key, extension = member.name.split(".", 1)
            row, column = extensions.setdefault(extension, len(extensions)), keys.setdefault(key, len(keys))
            members.append((row, column, member.offset_data, member.size))
    rows, columns, offsets, lengths = np.array(members, np.int64).T
    index = ShardIndex(
        name,
        tuple(keys),
        tuple(extensions),
        np.full((len(extensions), len(keys)), ABSENT, np.int64),
        np.full((len(extensions), len(keys)), ABSENT, np.int64),
        labels,
        *np.array(sizes, np.int64).T,
    )
    index.offsets[rows, columns] = offsets
    index.lengths[rows, columns] = lengths
    return index


def _info(
    folder: Path, split: str, number: int, index: ShardIndex, amounts: Mapping[int, int], most_objects: int
) -> ShardInfo:
    tar = folder / shard_name(split, number)
    return ShardInfo(
        name=shard_name(split, number),
        samples=len(index),
        bytes=tar.stat().st_size,
        sha256=sha256(tar),
        index_sha256=sha256(index_path(tar)),
        class_counts=tuple(np.bincount(index.flat_labels).tolist()),
        amounts=amounts_column(amounts),
        most_objects=most_objects,
    )


def amounts_column(amounts: Mapping[int, int]) -> tuple[int, ...]:
    """Amounts by class number, as long as the highest one asks."""
    return tuple(amounts.get(label, 0) for label in range(max(amounts, default=-1) + 1))


def write_dataset(
    folder: Path,
    modality: Modality,
    classes: Sequence[str],
    shards: Mapping[str, Sequence[ShardInfo]],
    label_sets: bool = False,
    members: Mapping[str, str] | None = None,
    values: Values | None = None,
) -> Dataset:
    """List the shards of each split in `dataset.json`, in the given order, and open the dataset.

    members: of adopted tars, the extension of a companion in our shards -> the one that it has in these
    values:  of adopted tars, what the values of their masks mean

    Call it when all shards are written: it also clears away what killed writers left.
    """
    splits, amounts = {}, {}
    for name, infos in shards.items():
        counts = _added([(info.name, info.class_counts) for info in infos], len(classes))
        amounts[name] = _added([(info.name, info.amounts) for info in infos], len(classes))
        listed = tuple(
            Shard(info.name, info.samples, info.bytes, info.sha256, info.index_sha256, at=info.at, source=info.source)
            for info in infos
            if info.samples
        )
        splits[name] = Split(sum(shard.samples for shard in listed), counts, listed)
        for left in (Path(folder) / name).glob(f".*{TEMPORARY}"):
            left.unlink()
    there = amounts if any(map(any, amounts.values())) else None
    schema: Literal[1, 2, 3] = 3 if there or members else 2 if label_sets else 1
    most = {name: max((info.most_objects for info in infos), default=0) for name, infos in shards.items()}
    contents = Contents(
        schema,
        modality,
        tuple(classes),
        splits,
        there,
        dict(members) if members else None,
        values,
        most if any(most.values()) else None,
    )
    write_bytes(Path(folder) / DATASET_FILE, CONTENTS.dump_json(contents, indent=1, exclude_none=True) + b"\n")
    return open_dataset(folder)


def _added(shards: Iterable[tuple[str, tuple[int, ...]]], classes: int) -> tuple[int, ...]:
    """Return the counts of each class, added over shards given by name and counts."""
    total = np.zeros(classes, np.int64)
    for name, counts in shards:
        if len(counts) > classes:
            raise ValueError(f"{name} has label {len(counts) - 1}, and there are {classes} classes")
        total[: len(counts)] += np.array(counts, np.int64)
    return tuple(total.tolist())
