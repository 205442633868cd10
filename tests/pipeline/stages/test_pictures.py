"""Pictures to be restored from their sources to shards, by ingest and shard, and to a reader."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import ZoetropeError
from pipeline.decode.image import decode_image
from pipeline.recipe import Recipe, check
from pipeline.shards.reader import ShardReader
from pipeline.stages.json_lines import read_rows
from tests.pipeline.stages.alone import said
from tests.pipeline.stages.test_adopt import pack
from tests.pipeline.stages.test_masks import made, write
from tests.pipeline.tasks.restoration.pictures import values

pytestmark = pytest.mark.usefixtures("in_this_process")


def png(width: int, height: int, mode: str = "RGB", bits: int = 8, seed: int = 0) -> bytes:
    file = io.BytesIO()
    if bits == 16:
        Image.fromarray(np.full((height, width), 40_000, np.uint16)).save(file, "PNG")
    else:
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(file, "PNG")
    return file.getvalue()


def a_recipe(degrade: dict[str, Any] | None, **data: Any) -> Recipe:
    return check(values(2, degrade, data={"max_bad": 0.9, **data}), "x")


def test_pairs_of_folders(tmp_path: Path) -> None:
    files = {f"low/{split}/{i}.png": png(8, 6, seed=i) for split in ("train", "val") for i in range(2)}
    files |= {f"high/{split}/{i}x2.png": png(16, 12, seed=i) for split in ("train", "val") for i in range(2)}
    wrong = {
        "low/train/multiple.png": png(8, 6),
        "high/train/multiplex2.png": png(16, 13),
        "low/train/lone.png": png(8, 6),
        "high/train/nobodyx2.png": png(16, 12),
        "low/train/deep.png": png(8, 6, bits=16),
        "high/train/deepx2.png": png(16, 12),
        "low/train/deeper.png": png(8, 6),
        "high/train/deeperx2.png": png(16, 12, bits=16),
        "low/train/twice.png": png(8, 6),
        "high/train/twicex2.png": png(16, 12),
        "high/train/twicex2.bmp": png(16, 12),
    }
    write(tmp_path / "data", files | wrong)
    paths = {name: str(tmp_path / "data" / place / "{split}") for name, place in (("path", "low"), ("targets", "high"))}
    recipe = a_recipe(None, source={"kind": "images", **paths, "target_suffix": "x2"})
    dataset, first = made(recipe, tmp_path)
    assert not dataset.classes
    reasons = {row["source"]: row["reason"] for row in read_rows(tmp_path / "shard/out/quarantine.jsonl")}
    assert reasons == {
        "train/lone.png": f"it has no target: there is no {tmp_path}/data/high/train/lonex2.*",
        "train/train/nobodyx2.png": f"it has no image: {tmp_path}/data/low/train holds no nobody.*",
        "train/twice.png": "it has several targets: twicex2.bmp, twicex2.png",
        "train/multiple.png": "its target.png: it has 16 x 13 pixels, which is no whole multiple of its picture's "
        "8 x 6, the same both ways; crop both so that it is",
        "train/deep.png": "it has 16 bits a channel, and models see and give 8: half of them would be lost. Save it "
        "with 8 bits",
        "train/deeper.png": "its target.png: it has 16 bits a channel, and models see and give 8: half of them would "
        "be lost. Save it with 8 bits",
    }
    assert "ingest: data: 3 train, 2 val" in said(first)
    reader = ShardReader(dataset.files, "train", frozenset({"target.png"}))
    read = {reader.source(0, i): reader.read(0, i) for i in range(2)}
    for name, raw in read.items():
        number = name[-5]
        assert bytes(raw.data) == files[f"low/train/{number}.png"]
        assert np.array_equal(raw.companion("target.png"), decode_image(files[f"high/train/{number}x2.png"]))
        assert raw.label == ()


def test_pictures_alone_and_palettes(tmp_path: Path) -> None:
    files = {f"{i}.png": png(8, 6, mode="P" if i % 2 else "RGB", seed=i) for i in range(10)}
    write(tmp_path / "data", files | {"deep.png": png(8, 6, bits=16), "notes.txt": b""})
    recipe = a_recipe({}, source={"kind": "images", "path": str(tmp_path / "data")})
    dataset, first = made(recipe, tmp_path)
    assert sum(split.samples for split in dataset.splits.values()) == 10
    assert not any("label" in line or "class" in line for line in said(first))


def test_pairs_in_tars_that_stay_where_they_are(tmp_path: Path) -> None:
    for split in ("train", "val"):
        members = {f"{i}__{ext}": png(w, h) for i in "ab" for ext, w, h in (("png", 8, 6), ("hr__png", 16, 12))}
        pack(tmp_path / f"{split}.tar", **members)
    source = {"kind": "webdataset", "urls": str(tmp_path / "train.tar"), "val_urls": str(tmp_path / "val.tar")}
    recipe = a_recipe(None, source={**source, "members": {"target.png": "hr.png"}})
    dataset, _ = made(recipe, tmp_path)
    raw = ShardReader(dataset.files, "train", frozenset({"target.png"})).read(0, 1)
    assert raw.companion("target.png").shape == (12, 16, 3)


def test_targets_and_masks_are_not_both_given(tmp_path: Path) -> None:
    write(tmp_path, {"a/1.png": png(8, 6)})
    folder = str(tmp_path / "a")
    recipe = a_recipe(None, source={"kind": "images", "path": folder, "targets": folder, "masks": folder})
    with pytest.raises(ZoetropeError, match=r"data.source.targets: .* leave either out"):
        made(recipe, tmp_path)
