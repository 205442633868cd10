"""Samples are read by offset, in any order; files that do not fit give an error that names them."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.shards import reader as reader_module
from pipeline.shards.index import index_path
from pipeline.shards.order import Order
from pipeline.shards.reader import RawSample, ShardReader
from pipeline.shards.writer import StoredSample, write_dataset, write_shard

COUNTS = [5, 3, 7]


def stored(number: int) -> StoredSample:
    extension = "png" if number % 4 == 1 else "jpg"
    data = np.random.default_rng(number).bytes(300 + 97 * number)
    return StoredSample(extension, data, number % 2, "ab"[number % 2], f"{number}", "0" * 64, 60 + number, 40, 1, 0, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    firsts = np.cumsum([0, *COUNTS]).tolist()
    shards = [
        write_shard(tmp_path, "train", i, firsts[i], map(stored, range(firsts[i], firsts[i + 1])))
        for i in range(len(COUNTS))
    ]
    write_dataset(tmp_path, "image", ["a", "b"], {"train": shards})
    return tmp_path


def fits(raw: RawSample, number: int) -> bool:
    expected = stored(number)
    return (bytes(raw.data), raw.extension, raw.label, raw.key, raw.frames, raw.width, raw.height) == (
        expected.data,
        expected.extension,
        expected.label,
        f"{number:09d}",
        1,
        expected.width,
        40,
    )


def test_every_sample_of_an_epoch(folder: Path) -> None:
    reader = ShardReader(folder, "train")
    order = Order(np.array(COUNTS), batch_size=4, shuffle_window=3, seed=0, keep_last=True)
    for epoch in range(2):
        for k in range(order.steps_per_epoch):
            batch = order.batch(epoch, k)
            for shard, index, number in zip(batch.shard, batch.index, batch.sample, strict=True):
                assert fits(reader.read(shard, index), int(number))


def open_tars(folder: Path) -> int:
    """How many tars of the folder this process has mapped."""
    return sum(f"{folder}/train/shard-" in line for line in Path("/proc/self/maps").read_text().splitlines())


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_samples_outlive_the_cache_of_open_shards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "OPEN_SHARDS", 1)
    monkeypatch.setattr(reader_module, "INDEXED_SAMPLES", 1)
    reader = ShardReader(folder, "train")
    first = reader.read(0, 2)
    for _ in range(20):
        assert fits(reader.read(1, 1), 6)
        assert fits(reader.read(2, 6), 14)
    assert fits(first, 2)
    assert open_tars(folder) == 2  # the cache's, and that of the sample which is still held
    del first
    assert open_tars(folder) == 1
    del reader
    assert open_tars(folder) == 0


def test_data_is_read_only_and_decodable_as_an_array(folder: Path) -> None:
    raw = ShardReader(folder, "train").read(1, 0)
    assert raw.data.readonly
    assert np.frombuffer(raw.data, np.uint8).tobytes() == stored(5).data


def test_nothing_but_the_list_is_opened_before_a_read(folder: Path) -> None:
    for path in (folder / "train").iterdir():
        if "000001" not in path.name:
            path.unlink()
    assert fits(ShardReader(folder, "train").read(1, 2), 7)


@pytest.mark.parametrize(("shard", "index"), [(-1, 0), (3, 0), (0, 5), (0, -1)])
def test_positions_that_do_not_exist(folder: Path, shard: int, index: int) -> None:
    with pytest.raises(IndexError, match=r"no number -1|no number 3|no number 5"):
        ShardReader(folder, "train").read(shard, index)


def test_unknown_split(folder: Path) -> None:
    with pytest.raises(ZoetropeError, match="unknown split 'test'"):
        ShardReader(folder, "test")


@pytest.mark.parametrize("size", [0, 1, 4096, 10_239])
def test_truncated_tar(folder: Path, size: int) -> None:
    os.truncate(folder / "train/shard-000001.tar", size)
    reader = ShardReader(folder, "train")
    assert fits(reader.read(0, 0), 0)
    with pytest.raises(ZoetropeError, match=r"shard-000001.tar: this (file is damaged|shard cannot be read)"):
        reader.read(1, 0)


@pytest.mark.parametrize("at", [0, 100, -2])
def test_flipped_byte_in_the_index(folder: Path, at: int) -> None:
    path = index_path(folder / "train/shard-000001.tar")
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(ZoetropeError, match=r"shard-000001.index.json: this file is damaged"):
        ShardReader(folder, "train").read(1, 0)


def test_missing_files(folder: Path) -> None:
    tar = folder / "train/shard-000001.tar"
    tar.rename(folder / "away")
    with pytest.raises(ZoetropeError, match=r"shard-000001.tar: this shard cannot be read: .*No such file"):
        ShardReader(folder, "train").read(1, 0)
    (folder / "away").rename(tar)
    index_path(tar).unlink()
    with pytest.raises(ZoetropeError, match=r"shard-000001.index.json: the shard index cannot be read: No such file"):
        ShardReader(folder, "train").read(1, 0)


def test_a_listed_count_that_the_index_denies(folder: Path) -> None:
    """Right hashes, wrong count: the list was written by hand. 5, 3, 7 samples become 5, 4, 6."""
    text = (folder / "dataset.json").read_text()
    text = text.replace('"samples": 3,', '"samples": 4,').replace('"samples": 7,', '"samples": 6,')
    (folder / "dataset.json").write_text(text)
    with pytest.raises(ZoetropeError, match=r"shard-000001.index.json: this file is damaged"):
        ShardReader(folder, "train").read(1, 0)


def test_videos_have_their_frames(tmp_path: Path) -> None:
    video = replace(stored(0), extension="mp4", frames=77)
    write_dataset(tmp_path, "video", ["a"], {"val": [write_shard(tmp_path, "val", 0, 0, [video])]})
    raw = ShardReader(tmp_path, "val").read(0, 0)
    assert (raw.extension, raw.frames) == ("mp4", 77)


def test_a_companion_that_is_needed_and_missing(tmp_path: Path) -> None:
    """Said when the index is loaded, so of whatever sample is read first; others are not asked for it."""
    masks = {i: {"seg.png": f"mask {i}".encode()} for i in range(4) if i != 2}
    samples = [replace(stored(i), members=masks.get(i, {})) for i in range(4)]
    shards = [write_shard(tmp_path, "train", 0, 0, samples), write_shard(tmp_path, "train", 1, 4, [stored(4)])]
    write_dataset(tmp_path, "image", ["a", "b"], {"train": shards})
    reader = ShardReader(tmp_path, "train", frozenset({"seg.png"}))
    for shard, count, key in ((0, "1 of 4", "000000002"), (1, "1 of 1", "000000004")):
        with pytest.raises(ZoetropeError) as caught:
            reader.read(shard, 0)
        assert str(caught.value) == (
            f"{tmp_path}/train/shard-00000{shard}.index.json: {count} samples have no member .seg.png, such as "
            f"'{key}', and the recipe needs one of each; data.source or shard.flow gives them"
        )
    assert fits(ShardReader(tmp_path, "train").read(0, 2), 2)


def test_companions_of_adopted_tars_have_names_of_their_own(tmp_path: Path) -> None:
    """Here the index of a tar of ours is read as one of others, in which seg.png is called mask.png."""
    samples = [replace(stored(i), members={"mask.png": bytes([i] * 9)}) for i in range(3)]
    info = write_shard(tmp_path, "train", 0, 0, samples)
    dataset = write_dataset(tmp_path, "image", ["a", "b"], {"train": [info]}, members={"seg.png": "mask.png"})
    assert json.loads((tmp_path / "dataset.json").read_text())["members"] == {"seg.png": "mask.png"}
    assert (dataset.members, dataset.amounts) == ({"seg.png": "mask.png"}, {})
    raw = ShardReader(tmp_path, "train", frozenset({"seg.png"})).read(0, 1)
    assert bytes(raw.member("seg.png")) == b"\1" * 9
    assert fits(raw, 1)


def test_a_companion_is_decoded_once() -> None:
    content = b'{"size": [8, 6], "boxes": [[1, 2, 3, 5]], "classes": [4]}'
    raw = RawSample(memoryview(b""), "jpg", (), "0", 1, 8, 6, {"objects.json": memoryview(content)})
    objects = raw.companion("objects.json")
    assert objects.areas.tolist() == [6]
    assert objects.crowd.tolist() == [0]
    assert raw.companion("objects.json") is objects
