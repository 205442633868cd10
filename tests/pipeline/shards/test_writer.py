"""Shards are plain WebDataset tars, reproducible, and either finished or not there."""

import json
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.shards.dataset import open_dataset
from pipeline.shards.index import ABSENT, index_path, read_index
from pipeline.shards.reader import ShardReader
from pipeline.shards.writer import StoredSample, write_dataset, write_shard
from tests.tars import members


def sample(number: int, extension: str = "mp4") -> StoredSample:
    return StoredSample(
        extension=extension,
        data=bytes([number % 251]) * (700 + number),
        label=number % 3,
        class_name=("left", "right", "über")[number % 3],
        source=f"train/größe/{number}.mp4",
        sha256=f"{number:064x}",
        width=64 + number,
        height=48,
        frames=20 + number,
        fps=12.5,
        duration_s=1.6,
    )


def test_foreign_readers_read_it(tmp_path: Path) -> None:
    import webdataset

    write_shard(tmp_path, "train", 7, 896, map(sample, range(5)))
    path = tmp_path / "train/shard-000007.tar"
    with tarfile.open(path) as tar:
        names = tar.getnames()
        assert names[:4] == ["000000896.cls", "000000896.json", "000000896.mp4", "000000897.cls"]
        members = {member.name: member for member in tar}
        described = tar.extractfile("000000898.json")
        assert described is not None
        assert json.load(described) == {
            "label": 2,
            "class": "über",
            "source": "train/größe/2.mp4",
            "sha256": f"{2:064x}",
            "width": 66,
            "height": 48,
            "frames": 22,
            "fps": 12.5,
            "duration_s": 1.6,
        }
    assert {(m.mtime, m.mode, m.uid, m.gid, m.uname, m.gname) for m in members.values()} == {
        (0, 0o444, 0, 0, "zoetrope", "zoetrope")
    }
    foreign = list(webdataset.WebDataset(str(path), shardshuffle=False))
    assert [item["__key__"] for item in foreign] == [f"{896 + number:09d}" for number in range(5)]
    assert [item["mp4"] for item in foreign] == [sample(number).data for number in range(5)]
    assert [item["cls"] for item in foreign] == [b"0", b"1", b"2", b"0", b"1"]


def test_offsets_give_the_bytes(tmp_path: Path) -> None:
    extensions = ["jpg", "png", "jpg"]
    info = write_shard(tmp_path, "val", 0, 0, [sample(n, extension) for n, extension in enumerate(extensions)])
    path = tmp_path / info.name
    index = read_index(index_path(path), info.bytes)
    content = path.read_bytes()
    assert info.bytes == len(content)
    expected = members(path)
    found = {
        f"{key}.{extension}": content[offset : offset + length]
        for extension, offsets, lengths in zip(
            index.extensions, index.offsets.tolist(), index.lengths.tolist(), strict=True
        )
        for key, offset, length in zip(index.keys, offsets, lengths, strict=True)
        if offset != ABSENT
    }
    assert found == expected
    assert len(found) == 9
    assert index.flat_labels.tolist() == [0, 1, 2]
    assert index.frames.tolist() == [20, 21, 22]
    assert index.widths.tolist() == [64, 65, 66]
    assert index.heights.tolist() == [48, 48, 48]
    assert [index.extensions[column] for column in index.data_column()] == extensions


def test_same_samples_same_bytes(tmp_path: Path) -> None:
    first = write_shard(tmp_path / "a", "train", 1, 128, map(sample, range(20)))
    second = write_shard(tmp_path / "b", "train", 1, 128, map(sample, range(20)))
    other = write_shard(tmp_path / "c", "train", 1, 129, map(sample, range(20)))
    assert first == second
    assert (tmp_path / "a" / first.name).read_bytes() == (tmp_path / "b" / first.name).read_bytes()
    assert first.sha256 != other.sha256
    assert first.class_counts == (7, 7, 6)


def test_known_bytes(tmp_path: Path) -> None:
    """A shard must have the same bytes on any machine and with any release of webdataset and Python."""
    info = write_shard(tmp_path, "train", 0, 0, map(sample, range(3)))
    assert (info.bytes, info.sha256) == (
        20480,
        "dccf356a2ec0044da28f34a6e069ba4bfdcd3da6b1279ddf4ce4b0c49b6fcd84",
    )
    assert info.index_sha256 == "daa52be8b62fff683388bc71f5a071818c9afe9501126cb6b44575baa3e879ed"


def test_an_error_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def breaking() -> Iterator[StoredSample]:
        yield sample(0)
        raise RuntimeError("decoder gone")

    with pytest.raises(RuntimeError, match="decoder gone"):
        write_shard(tmp_path, "train", 0, 0, breaking())
    assert list((tmp_path / "train").iterdir()) == []


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_writer import sample
from pipeline.shards.writer import write_shard

def samples():
    for number in range(50):
        yield sample(number)
    print("half", flush=True)
    time.sleep(600)

write_shard(Path({folder!r}), "train", 1, 100, samples())
"""


def test_a_killed_writer_leaves_no_shard_and_the_rest_is_written_after(tmp_path: Path) -> None:
    first = write_shard(tmp_path, "train", 0, 0, map(sample, range(100)))
    script = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL

    left = sorted(path.name for path in (tmp_path / "train").iterdir() if "000001" in path.name)
    assert len(left) == 1
    assert left[0].endswith(".tmp")

    second = write_shard(tmp_path, "train", 1, 100, map(sample, range(100)))
    write_dataset(tmp_path, "video", ["left", "right", "über"], {"train": [first, second]})
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == [
        "shard-000000.index.json",
        "shard-000000.tar",
        "shard-000001.index.json",
        "shard-000001.tar",
    ]


def test_a_shard_without_samples_is_not_listed(tmp_path: Path) -> None:
    empty = write_shard(tmp_path, "train", 0, 0, [])
    assert empty.samples == 0
    assert list(tmp_path.iterdir()) == []
    full = write_shard(tmp_path, "train", 1, 128, map(sample, range(4)))
    dataset = write_dataset(tmp_path, "video", ["left", "right", "über"], {"train": [empty, full], "val": []})
    assert [shard.name for shard in dataset.splits["train"].shards] == ["train/shard-000001.tar"]
    assert dataset.splits["train"].class_counts == (2, 1, 1)
    assert dataset.splits["val"].samples == 0
    assert dataset.splits["val"].counts.tolist() == []


def test_the_list_of_shards_as_others_read_it(tmp_path: Path) -> None:
    train = [write_shard(tmp_path, "train", n, 4 * n, map(sample, range(4 * n, 4 * n + 4))) for n in range(2)]
    val = [write_shard(tmp_path, "val", 0, 0, [sample(1)])]
    dataset = write_dataset(tmp_path, "video", ["left", "right", "über"], {"train": train, "val": val})
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert content["schema"] == 1
    assert content["modality"] == "video"
    assert content["classes"] == ["left", "right", "über"]
    assert list(content["splits"]) == ["train", "val"]
    assert content["splits"]["train"]["samples"] == 8
    assert content["splits"]["train"]["class_counts"] == [3, 3, 2]
    assert content["splits"]["train"]["shards"][1] == {
        "name": "train/shard-000001.tar",
        "samples": 4,
        "bytes": train[1].bytes,
        "sha256": train[1].sha256,
        "index_sha256": train[1].index_sha256,
    }
    assert content["splits"]["val"]["class_counts"] == [0, 1, 0]
    assert open_dataset(tmp_path) == dataset


def test_sets_of_labels(tmp_path: Path) -> None:
    labels = [(0, 2), (), (2,)]
    names = ["left", "right", "über"]
    samples = [replace(sample(i), label=at, class_name=tuple(names[k] for k in at)) for i, at in enumerate(labels)]
    info = write_shard(tmp_path, "train", 0, 0, samples)
    dataset = write_dataset(tmp_path, "video", names, {"train": [info]}, label_sets=True)
    assert json.loads((tmp_path / "dataset.json").read_text())["schema"] == 2
    assert (dataset.split("train").samples, dataset.split("train").class_counts) == (3, (1, 0, 2))
    reader = ShardReader(tmp_path, "train")
    assert [reader.read(0, i).label for i in range(3)] == labels
    files = members(tmp_path / "train/shard-000000.tar")
    assert not [name for name in files if name.endswith(".cls")]
    described = json.loads(files["000000000.json"])
    assert (described["labels"], described["classes"]) == ([0, 2], ["left", "über"])
    assert not {"label", "class"} & described.keys()


def with_mask(number: int) -> StoredSample:
    return replace(sample(number), members={"seg.png": b"mask" * (number + 1)}, amounts={number % 3: 10 + number})


def test_companions(tmp_path: Path) -> None:
    """They stand among the sample's members, and pixels or objects of each class are added up."""
    shards = [
        write_shard(tmp_path, "train", 0, 0, map(with_mask, range(3))),
        write_shard(tmp_path, "train", 1, 3, [with_mask(3)]),
    ]
    dataset = write_dataset(tmp_path, "video", ["left", "right", "über"], {"train": shards, "val": []})
    files = members(tmp_path / shards[0].name)
    assert list(files)[:5] == [f"000000000.{name}" for name in ("cls", "json", "mp4", "seg.png")] + ["000000001.cls"]
    assert files["000000002.seg.png"] == b"mask" * 3
    assert not {"members", "amounts"} & json.loads(files["000000002.json"]).keys()
    assert [info.amounts for info in shards] == [(10, 11, 12), (13,)]
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert (content["schema"], content["amounts"]) == (3, {"train": [23, 11, 12], "val": [0, 0, 0]})
    assert "members" not in content
    assert open_dataset(tmp_path) == dataset
    assert dataset.amounts == {"train": (23, 11, 12), "val": (0, 0, 0)}
    reader = ShardReader(tmp_path, "train", frozenset({"seg.png"}))
    assert [bytes(reader.read(0, i).member("seg.png")) for i in (2, 0)] == [b"mask" * 3, b"mask"]
    assert ShardReader(tmp_path, "train").read(0, 2).members == {}


@pytest.mark.parametrize("extension", ["png", "json", ".png", "seg.", "seg..png", "../a.png", "Seg.png", ""])
def test_extensions_that_no_companion_has(tmp_path: Path, extension: str) -> None:
    with pytest.raises(ValueError, match=r"is no extension of a companion, which has a dot"):
        write_shard(tmp_path, "train", 0, 0, [replace(sample(0), members={extension: b"x"})])


def test_one_label_and_sets_of_labels_do_not_mix(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="some samples of this shard have one label and others a set"):
        write_shard(tmp_path, "train", 0, 0, [sample(0), replace(sample(1), label=(1,), class_name=("right",))])


def test_labels_must_have_a_class(tmp_path: Path) -> None:
    info = write_shard(tmp_path, "train", 0, 0, map(sample, range(4)))
    with pytest.raises(ValueError, match="has label 2, and there are 2 classes"):
        write_dataset(tmp_path, "video", ["left", "right"], {"train": [info]})


@pytest.mark.parametrize("extension", [".mp4", "cls", "json", "", "seg.png", "../x"])
def test_extensions_that_would_break_the_tar(tmp_path: Path, extension: str) -> None:
    with pytest.raises(ValueError, match=r"is no extension of an image or a video"):
        write_shard(tmp_path, "train", 0, 0, [replace(sample(0), extension=extension)])


def test_negative_labels(tmp_path: Path) -> None:
    with pytest.raises(
        ZoetropeError, match=r"shard-000000.index.json: labels are class numbers from 0, one here is -1"
    ):
        write_shard(tmp_path, "train", 0, 0, [replace(sample(0), label=-1)])
