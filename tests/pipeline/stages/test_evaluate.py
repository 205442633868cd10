import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

from pipeline.base.errors import ZoetropeError
from pipeline.shards.dataset import Dataset
from pipeline.stages import export
from pipeline.stages.evaluate import fetch_and_predict
from pipeline.stages.measure import sample_names
from pipeline.stages.train import WEIGHTS
from pipeline.store import Artifact, FolderStore
from pipeline.tasks.base import Tally
from pipeline.tasks.classification import Classification
from pipeline.training.model import build_model
from tests.pipeline.stages.alone import a_context


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_tables(images: Dataset, tmp_path: Path) -> None:
    labels = np.array([0, 1, 2, 0, 1, 2, 0])
    predicted = np.array([0, 1, 1, 0, 1, 0, 1])
    probabilities = np.full((7, 3), 0.1)
    probabilities[np.arange(7), predicted] = 0.8
    (tmp_path / "figures").mkdir()
    tally = Tally(np.zeros(0), {"label": labels, "scores": probabilities})
    Classification(images.classes).report(tmp_path, sample_names(images, np.arange(7)), tally)
    assert rows(tmp_path / "per_class.csv") == [
        ["class", "samples", "recall", "precision"],
        ["blue", "3", str(2 / 3), str(2 / 3)],
        ["green", "2", "1.0", "0.5"],
        ["red", "2", "0.0", ""],  # nothing was taken for red
    ]
    assert rows(tmp_path / "confusion.csv")[1:] == [
        ["blue", "2", "1", "0"],
        ["green", "0", "2", "0"],
        ["red", "1", "1", "0"],
    ]
    table = rows(tmp_path / "predictions.csv")
    assert table[0] == ["file", "class", "predicted", "score"]
    assert table[3] == ["2002.jpg", "red", "green", "0.8000"]
    assert len(table) == 8


def flip_one_bit(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.fixture
def trained(make_recipe: Any, tmp_path: Path) -> Artifact:
    """What the train stage published: fresh weights for `images`."""
    store = FolderStore(tmp_path / "store")
    with store.work("train", "a" * 32) as work:
        save_file(build_model(make_recipe("image"), 3).state_dict(), str(work.out / WEIGHTS))
        (work.out / "classes.json").write_text("[]")
        return store.publish(work, {"facts": {}})


def test_damaged_weights_are_neither_evaluated_nor_exported(
    make_recipe: Any, images: Dataset, trained: Artifact, tmp_path: Path
) -> None:
    recipe = make_recipe("image")
    assert len(fetch_and_predict(recipe, images, trained, 0, 1, print).sample) == 7
    flip_one_bit(trained.path / WEIGHTS, -1)
    with pytest.raises(ZoetropeError, match=rf"{WEIGHTS}: this file is damaged.* --rerun train` makes it again"):
        fetch_and_predict(recipe, images, trained, 0, 1, print)
    with pytest.raises(ZoetropeError, match=rf"{WEIGHTS}: this file is damaged.* --rerun train` makes it again"):
        export.run(a_context(recipe, tmp_path / "export", train=trained))
    assert list((tmp_path / "export/out").iterdir()) == []


def test_a_damaged_shard_is_not_evaluated(
    make_recipe: Any, images: Dataset, trained: Artifact, damaged: Callable[..., Dataset]
) -> None:
    broken = damaged(images, "val", {3: lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]})
    with pytest.raises(ZoetropeError, match=r"val/shard-000000\.tar: this file is damaged .* --rerun shard` makes it"):
        fetch_and_predict(make_recipe("image"), broken, trained, 0, 1, print)
