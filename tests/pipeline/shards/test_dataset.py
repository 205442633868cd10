"""`dataset.json` is believed only when it adds up; shards can be compared with what it lists."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.values import Values
from pipeline.shards import dataset as dataset_module
from pipeline.shards.dataset import open_dataset

HASH = "0" * 64


def shard(name: str = "train/shard-000000.tar", samples: Any = 3) -> dict[str, Any]:
    return {"name": name, "samples": samples, "bytes": 10240, "sha256": HASH, "index_sha256": HASH}


def content(**changes: Any) -> dict[str, Any]:
    shards = [shard(), shard("train/shard-000002.tar", 2)]
    splits = {"train": {"samples": 5, "class_counts": [4, 1], "shards": shards}}
    return {"schema": 1, "modality": "image", "classes": ["cat", "dog"], "splits": splits, **changes}


def train(**changes: Any) -> dict[str, Any]:
    split = {"samples": 3, "class_counts": [3, 0], "shards": [shard()], **changes}
    return {"splits": {"train": split}}


def test_open(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(content()))
    dataset = open_dataset(tmp_path)
    assert (dataset.modality, dataset.classes, list(dataset.splits)) == ("image", ("cat", "dog"), ["train"])
    split = dataset.split("train")
    assert split.counts.tolist() == [3, 2]
    assert split.counts.dtype == np.int64
    assert split.class_counts == (4, 1)
    assert split.shards[1].name == "train/shard-000002.tar"
    assert dataset.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_sets_of_labels_need_not_add_up(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps(content(schema=2, **train(class_counts=[3, 2]))))
    assert open_dataset(tmp_path).split("train").class_counts == (3, 2)


def test_amounts_and_members_of_schema_3(tmp_path: Path) -> None:
    more = {"schema": 3, "amounts": {"train": [900, 12]}, "members": {"seg.png": "mask.png"}}
    (tmp_path / "dataset.json").write_text(json.dumps(content(**more, **train(class_counts=[3, 2]))))
    dataset = open_dataset(tmp_path)
    assert (dataset.amounts, dataset.members) == ({"train": (900, 12)}, {"seg.png": "mask.png"})


def test_what_the_values_of_adopted_masks_mean(tmp_path: Path) -> None:
    values = {"of": {"7": 0, "255": 255}, "colours": False}
    (tmp_path / "dataset.json").write_text(json.dumps(content(schema=3, values=values)))
    assert open_dataset(tmp_path).values == Values({7: 0, 255: 255})


def test_unknown_split(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps(content()))
    with pytest.raises(ZoetropeError, match="unknown split 'trian'; did you mean 'train'"):
        open_dataset(tmp_path).split("trian")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 4}, "schema: Input should be 1, 2 or 3"),
        ({"schema": 3, "amounts": {"train": [1]}}, "split 'train' does not add up: 5 samples, 5 in its shards"),
        ({"schema": 3, "values": {"of": {"7": 256}}}, "values.of.7: Input should be less than or equal to 255"),
        ({"modality": "audio"}, "modality: Input should be 'video' or 'image'"),
        ({"classes": None}, "classes: Input should be a valid"),
        (train(samples=4), "split 'train' does not add up: 4 samples, 3 in its shards, 3 in 2 classes of 2"),
        (train(class_counts=[2, 0]), "does not add up: 3 samples, 3 in its shards, 2 in 2 classes of 2"),
        (train(samples=4) | {"schema": 2}, "split 'train' does not add up: 4 samples, 3 in its shards"),
        (train(class_counts=[3]), "does not add up: 3 samples, 3 in its shards, 3 in 1 classes of 2"),
        (train(shards=[shard("../shard.tar")]), "splits.train.shards.0.name: String should match pattern"),
        (train(shards=[shard("/etc/shard.tar")]), "splits.train.shards.0.name: String should match pattern"),
        (train(shards=[shard(samples="3")]), "splits.train.shards.0.samples: Input should be a valid integer"),
        (train(shards=[{**shard(), "sha256": "00"}]), "splits.train.shards.0.sha256: String should match pattern"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps(content(**changes)))
    with pytest.raises(ZoetropeError) as error:
        open_dataset(tmp_path)
    assert message in str(error.value)
    assert "dataset.json" in str(error.value)


def test_missing_broken_and_huge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZoetropeError, match=r"dataset.json: the dataset's list of shards cannot be read: No such file"):
        open_dataset(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps(content())[:-20])
    with pytest.raises(ZoetropeError, match="Invalid JSON"):
        open_dataset(tmp_path)
    monkeypatch.setattr(dataset_module, "MAX_DATASET_BYTES", 100)
    with pytest.raises(ZoetropeError, match="has more than 100 bytes"):
        open_dataset(tmp_path)
