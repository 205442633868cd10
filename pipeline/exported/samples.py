"""Real samples for an exported file to be compared on, as the evaluation sees them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.base.errors import ZoetropeError
from pipeline.decode.flow_name import FLOW
from pipeline.exported.predictor import Predictor
from pipeline.shards.dataset import open_dataset
from pipeline.shards.reader import ShardReader
from pipeline.store import Artifact
from pipeline.tasks.base import Arrays


def views_of_files(predictor: Predictor, named: Sequence[Path], most: int) -> list[Arrays]:
    """See files, and those in folders, as the run sees its samples: uint8 [(T,) H, W, C] by name, at most so many.

    ZoetropeError for none, or one that cannot be read.
    """
    files = [path for name in named for path in (sorted(name.rglob("*")) if name.is_dir() else [name])]
    files = [path for path in files if path.is_file() or path in named][:most]
    if not files:
        raise ZoetropeError(f"--samples {named[0]}: there are no files in it")
    views: list[Arrays] = []
    for path in files:
        try:
            views += _each(predictor.sight(path.read_bytes()).inputs)
        except OSError as error:
            raise ZoetropeError(f"--samples {path}: cannot be read: {error.strerror}") from error
        except ZoetropeError as error:
            raise ZoetropeError(f"--samples {path}: {error}") from error
    return views


def views_of_shards(predictor: Predictor, shard: Artifact, most: int) -> list[Arrays]:
    """See samples of the validation split, evenly spread over it: inputs uint8 [(T,) H, W, C] by name."""
    dataset = open_dataset(shard.files)
    needs = frozenset({FLOW} if predictor.recipe.clip.flow else ())
    split, reader = dataset.split("val"), ShardReader(dataset.files, "val", needs)
    chosen = np.unique(np.linspace(0, split.samples - 1, most).astype(int))
    views: list[Arrays] = []
    for sample in chosen.tolist():
        raw = reader.read(*split.place(sample))
        views += _each(predictor.sight.views.inputs(raw.data, raw.frames, raw.members.get(FLOW)))
    return views


def _each(inputs: Arrays) -> list[Arrays]:
    """Return each view of arrays [V, ...] by itself."""
    return [{name: views[i] for name, views in inputs.items()} for i in range(len(inputs["pixels"]))]
