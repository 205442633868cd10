"""Folds of a dataset: datasets of their own whose indices name a part of the samples, in the tars that are there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.base.keyed import generator
from pipeline.shards.dataset import Dataset, Split
from pipeline.shards.file_io import sha256
from pipeline.shards.index import Labels, ShardIndex, index_path, read_index, write_index
from pipeline.shards.reader import ShardReader
from pipeline.shards.shard import Shard
from pipeline.shards.writer import ShardInfo, shard_name, write_dataset

Mask = NDArray[np.bool_]


def held_out(labels: NDArray[np.int64], share: float, *key: int | str) -> Mask:
    """Tell which samples a fold holds out, bool [n]: `share` of each class, and of two or more at least one on either
    side.

    Folds of other keys are drawn anew (scikit-learn's StratifiedShuffleSplit, which Fast AutoAugment uses).
    """
    rng = generator("fold", *key)
    mask = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        samples = rng.permutation(np.flatnonzero(labels == label))
        count = min(max(round(share * len(samples)), 1), len(samples) - 1)
        mask[samples[:count]] = True
    return mask


def labels_of(dataset: Dataset, split: str) -> NDArray[np.int64]:
    """Return the class numbers of a split, int64 [n]."""
    reader = ShardReader(dataset.files, split)
    return np.concatenate([np.asarray(reader.labels(i)) for i in range(len(dataset.split(split).shards))])


def subset(dataset: Dataset, folder: Path, parts: dict[str, tuple[str, Mask]]) -> Dataset:
    """Return a dataset in `folder` whose splits are parts of the splits of `dataset`: name -> (split, bool [n]).

    It holds indices alone; the tars are read where they lie.
    """
    shards = {name: _shards(dataset, folder, name, *part) for name, part in parts.items()}
    return write_dataset(
        folder, dataset.modality, dataset.classes, shards, members=dataset.members, values=dataset.values
    )


def _shards(dataset: Dataset, folder: Path, name: str, split: str, mask: Mask) -> list[ShardInfo]:
    listed: Split = dataset.split(split)
    infos: list[ShardInfo] = []
    for shard, chosen in zip(listed.shards, np.split(mask, np.cumsum(listed.counts)[:-1]), strict=True):
        if not chosen.any():
            continue
        info = ShardInfo(
            shard_name(name, len(infos)), int(chosen.sum()), shard.bytes, shard.sha256, "", _at(dataset, shard)
        )
        path = index_path(folder / info.name)
        whole = read_index(dataset.files.file(index_path(Path(shard.name)).as_posix()), shard.bytes)
        index = _part(whole, chosen, Path(info.name).name)
        write_index(path, index, shard.bytes)
        counts = tuple(np.bincount(index.flat_labels).tolist())
        infos.append(replace(info, index_sha256=sha256(path), source=shard.source, class_counts=counts))
    return infos


def _at(dataset: Dataset, shard: Shard) -> str:
    """Tell where the tar lies: where it was adopted, in a store that is a URL, or on a disk."""
    if shard.at:
        return shard.at
    where = str(dataset.files)
    return f"{where}/{shard.name}" if "://" in where else str(dataset.files.file(shard.name).resolve())


def _part(index: ShardIndex, chosen: Mask, tar: str) -> ShardIndex:
    rows = np.flatnonzero(chosen)
    labels: Labels = (
        index.labels[rows] if isinstance(index.labels, np.ndarray) else tuple(index.labels[i] for i in rows)
    )
    return replace(
        index,
        tar=tar,
        keys=tuple(index.keys[i] for i in rows),
        offsets=index.offsets[:, rows],
        lengths=index.lengths[:, rows],
        labels=labels,
        frames=index.frames[rows],
        widths=index.widths[rows],
        heights=index.heights[rows],
    )
