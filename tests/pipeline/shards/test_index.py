"""An index is read back as written, and one that does not fit is refused with its name."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.shards import index as index_module
from pipeline.shards.index import ShardIndex, index_path, read_index, write_index

TAR_BYTES = 20480
INDEX = ShardIndex(
    tar="shard-000003.tar",
    keys=("000000384", "000000385"),
    extensions=("cls", "json", "jpg", "png"),
    offsets=np.array([[512, 4608], [1536, 5632], [2560, -1], [-1, 6656]]),
    lengths=np.array([[1, 2], [200, 210], [900, -1], [-1, 800]]),
    labels=np.array([4, 11]),
    frames=np.array([1, 1]),
    widths=np.array([64, 80]),
    heights=np.array([48, 60]),
)


def written(path: Path, **changes: Any) -> Path:
    """A valid index file in which some entries are then replaced."""
    write_index(path, INDEX, TAR_BYTES)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def test_known_content(tmp_path: Path) -> None:
    path = tmp_path / "shard-000003.index.json"
    write_index(path, INDEX, TAR_BYTES)
    assert json.loads(path.read_text()) == {
        "schema": 1,
        "tar": "shard-000003.tar",
        "samples": 2,
        "keys": ["000000384", "000000385"],
        "extensions": ["cls", "json", "jpg", "png"],
        "offsets": [[512, 4608], [1536, 5632], [2560, -1], [-1, 6656]],
        "lengths": [[1, 2], [200, 210], [900, -1], [-1, 800]],
        "labels": [4, 11],
        "frames": [1, 1],
        "widths": [64, 80],
        "heights": [48, 60],
    }


def test_read_back(tmp_path: Path) -> None:
    path = tmp_path / "shard-000003.index.json"
    write_index(path, INDEX, TAR_BYTES)
    index = read_index(path, TAR_BYTES)
    assert (index.tar, index.extensions, index.keys) == (INDEX.tar, INDEX.extensions, INDEX.keys)
    for name in ("offsets", "lengths", "labels", "frames", "widths", "heights"):
        assert getattr(index, name).dtype == np.int64
        np.testing.assert_array_equal(getattr(index, name), getattr(INDEX, name))
    assert len(index) == 2
    assert index.data_column().tolist() == [2, 3]
    with pytest.raises(ZoetropeError, match=r"sample '000000385' has 0 members that could be its image or video"):
        index.data_column(["png"])


def test_sets_of_labels(tmp_path: Path) -> None:
    path = tmp_path / "shard-000003.index.json"
    write_index(path, replace(INDEX, labels=((4, 11, 12), ())), TAR_BYTES)
    content = json.loads(path.read_text())
    assert (content["schema"], content["labels"], content["label_counts"]) == (2, [4, 11, 12], [3, 0])
    index = read_index(path, TAR_BYTES)
    assert index.labels == ((4, 11, 12), ())
    assert index.flat_labels.tolist() == [4, 11, 12]


def test_index_path() -> None:
    assert index_path(Path("train/shard-000003.tar")) == Path("train/shard-000003.index.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 3}, "schema: Input should be 1 or 2"),
        ({"tar": "../shard.tar"}, "tar: String should match pattern"),
        ({"labels": [0, 1.5]}, "labels.1: Input should be a valid integer"),
        ({"labels": [0, True]}, "labels.1: Input should be a valid integer"),
        ({"keys": ["a.b", "c"]}, "sample key 'a.b' is empty or has a dot"),
        ({"keys": ["", "c"]}, "sample key '' is empty or has a dot"),
        ({"keys": ["c", "c"]}, "1 sample keys occur twice"),
        ({"samples": 3}, "columns of this shard index differ in length"),
        ({"labels": [0]}, "columns of this shard index differ in length"),
        ({"extensions": ["cls", "json", "jpg"]}, "columns of this shard index differ in length"),
        ({"lengths": [[1, 2], [200, 210], [900, -1], [-1]]}, "columns of this shard index differ in length"),
        ({"offsets": [[512, 20480], [1536, 5632], [2560, -1], [-1, 6656]]}, "000000385.cls at 20480 with 2 bytes"),
        ({"offsets": [[512, 4608], [1536, 5632], [2560, -1], [-1, -6656]]}, "000000385.png at -6656"),
        ({"offsets": [[0, 4608], [1536, 5632], [2560, -1], [-1, 6656]]}, "000000384.cls at 0 with"),
        ({"offsets": [[513, 4608], [1536, 5632], [2560, -1], [-1, 6656]]}, "000000384.cls at 513 with"),
        ({"lengths": [[1, 2], [200, 210], [2**63 - 1, -1], [-1, 800]]}, "000000384.jpg at 2560"),
        ({"lengths": [[1, 2], [200, 210], [2**64, -1], [-1, 800]]}, "a number beyond 64 bits"),
        ({"lengths": [[1, 2], [200, 210], [900, 5], [-1, 800]]}, "000000385.jpg at -1 with 5 bytes"),
        ({"labels": [0, -3]}, "labels are class numbers from 0, one here is -3"),
        ({"schema": 2}, "label_counts belong to schema 2, and this shard index has schema 2"),
        ({"label_counts": [1, 1]}, "label_counts belong to schema 2, and this shard index has schema 1"),
        ({"schema": 2, "label_counts": [1]}, "columns of this shard index differ in length"),
        ({"schema": 2, "label_counts": [1, 2]}, "label_counts do not add up to 2 labels"),
        ({"schema": 2, "label_counts": [-1, 3]}, "label_counts do not add up to 2 labels"),
        ({"schema": 2, "label_counts": [2, 0], "labels": [1, 1]}, "must be ascending and without repeats"),
        ({"schema": 2, "label_counts": [2, 0], "labels": [-1, 1]}, "class numbers from 0, one here is -1"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = written(tmp_path / "shard-000003.index.json", **changes)
    with pytest.raises(ZoetropeError) as error:
        read_index(path, TAR_BYTES)
    assert message in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"{", b"[" * 100_000])
def test_what_is_no_index_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "shard-000003.index.json"
    path.write_bytes(content)
    with pytest.raises(ZoetropeError, match=r"shard-000003.index.json: this shard index does not fit"):
        read_index(path, TAR_BYTES)


def test_missing_and_huge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shard-000003.index.json"
    with pytest.raises(ZoetropeError, match="cannot be read: No such file"):
        read_index(path, TAR_BYTES)
    write_index(path, INDEX, TAR_BYTES)
    monkeypatch.setattr(index_module, "MAX_INDEX_BYTES", 50)
    with pytest.raises(ZoetropeError, match="has more than 50 bytes"):
        read_index(path, TAR_BYTES)
    with pytest.raises(ZoetropeError, match=r"lower shard.samples"):
        write_index(path, INDEX, TAR_BYTES)


def test_a_key_with_a_dot_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "shard-000003.index.json"
    with pytest.raises(ZoetropeError, match="has a dot"):
        write_index(path, replace(INDEX, keys=("a.b", "c")), TAR_BYTES)
    assert not path.exists()


def test_a_sample_needs_one_image_or_video() -> None:
    none = replace(INDEX, extensions=("cls", "json", "jpg", "seg.png"))
    with pytest.raises(ZoetropeError, match=r"'000000385' has 0 members that could be its image or video"):
        none.data_column()
    both = replace(INDEX, extensions=("cls", "mp4", "jpg", "json"))
    with pytest.raises(ZoetropeError, match=r"'000000384' has 2 members"):
        both.data_column()
