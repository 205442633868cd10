"""An index that does not fit its tar is told, with the member that shows it."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.shards.check import misfits
from pipeline.shards.index import ShardIndex


def packed(path: Path, names: list[str]) -> ShardIndex:
    """A tar of these members, and the index that fits it."""
    keys = tuple(dict.fromkeys(name.split(".")[0] for name in names))
    extensions = tuple(dict.fromkeys(name.split(".")[1] for name in names))
    offsets, lengths = np.full((2, len(extensions), len(keys)), -1, np.int64)
    with tarfile.open(path, "w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 10 + len(name)
            tar.addfile(info, io.BytesIO(bytes(info.size)))
            key, extension = name.split(".")
            place = extensions.index(extension), keys.index(key)
            offsets[place], lengths[place] = tar.offset - 512, info.size
    ones = np.ones(len(keys), np.int64)
    return ShardIndex(path.name, keys, extensions, offsets, lengths, 0 * ones, ones, ones, ones)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shard-000000.tar"


def test_one_that_fits(path: Path) -> None:
    index = packed(path, ["a.jpg", "a.cls", "b.jpg", "b.cls", "c.jpg"])
    assert misfits(index, path, "it") == []


def test_members_that_do_not_follow_each_other(path: Path) -> None:
    index = packed(path, ["a.jpg", "b.jpg", "b.cls", "a.cls"])
    assert misfits(index, path, "it") == ["the members of a do not follow each other"]


def test_an_index_of_some_members_of_an_adopted_tar(path: Path) -> None:
    """An image and its mask, with the label between them."""
    whole = packed(path, ["a.jpg", "a.cls", "a.png", "b.jpg", "b.cls", "b.png"])
    listed = [whole.extensions.index(name) for name in ("jpg", "png")]
    index = replace(whole, extensions=("jpg", "png"), offsets=whole.offsets[listed], lengths=whole.lengths[listed])
    assert misfits(index, path, "it", adopted=True) == []


def test_another_place_and_another_length(path: Path) -> None:
    index = packed(path, ["a.jpg", "b.jpg"])
    moved = replace(index, offsets=np.add(index.offsets, [[512, 0]]), lengths=np.add(index.lengths, [[0, 1]]))
    assert misfits(moved, path, "it") == [
        "its index says that a.jpg has 15 bytes at 1,024, and it has 15 at 512",
        "its index says that b.jpg has 16 bytes at 1,536, and it has 15 at 1,536",
    ]


def test_what_only_one_of_them_has(path: Path) -> None:
    packed(path, ["a.jpg", "b.jpg"])
    index = packed(path.with_name("other"), ["a.jpg", "x.jpg"])
    assert misfits(index, path, "it") == [
        "its index names the member x.jpg, which is not in the tar",
        "the tar has 1 members that its index does not name, such as b.jpg",
    ]
    assert misfits(index, path, "it", adopted=True) == ["its index names the member x.jpg, which is not in the tar"]


def test_a_tar_that_cannot_be_read(path: Path) -> None:
    index = packed(path, ["a.jpg", "b.jpg"])
    path.write_bytes(path.read_bytes()[:1200])
    assert misfits(index, path, "there") == [
        "there: this tar is cut off: its end mark is missing at byte 1,024; pack it again."
    ]
