"""Real samples for an exported file to be compared on, as the evaluation sees them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.base.errors import ZoetropeError
from pipeline.exported.predictor import Predictor
from pipeline.shards.dataset import open_dataset
from pipeline.shards.reader import ShardReader
from pipeline.store import Artifact


def views_of_files(predictor: Predictor, named: Sequence[Path], most: int) -> list[np.ndarray]:
    """See files, and those in folders, as the run sees its samples: uint8 [(T,) H, W, 3] each, at most so many.

    ZoetropeError for none, or one that cannot be read.
    """
    files = [path for name in named for path in (sorted(name.rglob("*")) if name.is_dir() else [name])]
    files = [path for path in files if path.is_file() or path in named][:most]
    if not files:
        raise ZoetropeError(f"--samples {named[0]}: there are no files in it")
    views: list[np.ndarray] = []
    for path in files:
        try:
            views.extend(predictor.pixels(path.read_bytes()))
        except OSError as error:
            raise ZoetropeError(f"--samples {path}: cannot be read: {error.strerror}") from error
        except ZoetropeError as error:
            raise ZoetropeError(f"--samples {path}: {error}") from error
    return views


def views_of_shards(predictor: Predictor, shard: Artifact, most: int) -> list[np.ndarray]:
    """See samples of the validation split, evenly spread over it: uint8 [(T,) H, W, 3] each."""
    dataset = open_dataset(shard.files)
    split, reader = dataset.split("val"), ShardReader(dataset.files, "val")
    chosen = np.unique(np.linspace(0, split.samples - 1, most).astype(int))
    views: list[np.ndarray] = []
    for sample in chosen.tolist():
        raw = reader.read(*split.place(sample))
        views.extend(predictor.sight.views(raw.data, raw.frames))
    return views
