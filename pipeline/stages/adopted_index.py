"""Writes shards that are indices alone: their tars lie elsewhere and stay as they are."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.shards.file_io import sha256 as sha256_of
from pipeline.shards.index import ABSENT, Labels, ShardIndex, index_path, write_index
from pipeline.shards.writer import ShardInfo, amounts_column, label_column, shard_name
from pipeline.sources.rows import Row, label_of


def write_adopted(
    folder: Path,
    split: str,
    number: int,
    at: str,
    bytes: int,
    sha256: str,
    rows: Sequence[Row],
    objects: bool = False,
) -> ShardInfo:
    """Write the index of the tar at `at`, an absolute path or URL, and returns what `dataset.json` lists of it.

    rows:    of the tar's samples, as ingest writes them. The index holds the image or video, and its companions.
    objects: whether their amounts are of objects, and not of pixels
    """
    name = shard_name(split, number)
    extensions = tuple(dict.fromkeys(name for row in rows for name in (row["extension"], *row.get("companions", ()))))
    shape = (len(extensions), len(rows))
    offsets, lengths = np.full(shape, ABSENT, np.int64), np.full(shape, ABSENT, np.int64)
    for sample, row in enumerate(rows):
        places = {row["extension"]: (row["offset"], row["length"]), **row.get("companions", {})}
        for extension, place in places.items():
            column = extensions.index(extension)
            offsets[column, sample], lengths[column, sample] = place
    labels: Labels = label_column([label_of(row) for row in rows])
    sizes = (np.array([row[column] for row in rows], np.int64) for column in ("frames", "width", "height"))
    index = ShardIndex(
        Path(name).name, tuple(row["name"] for row in rows), extensions, offsets, lengths, labels, *sizes
    )
    path = index_path(folder / name)
    write_index(path, index, bytes)
    class_counts = tuple(np.bincount(index.flat_labels).tolist())
    amounts = Counter[int]()
    for row in rows:
        amounts.update({int(label): amount for label, amount in row.get("amounts", {}).items()})
    found = (sha256, sha256_of(path))
    most = max((sum(row.get("amounts", {}).values()) for row in rows), default=0) if objects else 0
    return ShardInfo(
        name,
        len(rows),
        bytes,
        *found,
        at=at,
        class_counts=class_counts,
        amounts=amounts_column(amounts),
        most_objects=most,
    )
