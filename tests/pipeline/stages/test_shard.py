"""The shard stage on what the ingest stage left; its Ray tasks are run in this process."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.flow import read_flow
from pipeline.decode.image import encode_jpeg
from pipeline.decode.transcode import encode
from pipeline.feed.apart import each_apart
from pipeline.recipe import Recipe, check, plain
from pipeline.shards.dataset import open_dataset
from pipeline.stages import shard
from pipeline.stages.json_lines import read_rows, write_rows
from pipeline.store import Artifact
from tests.pipeline.stages.alone import a_context
from tests.tars import members

COUNT = 10


pytestmark = pytest.mark.usefixtures("in_this_process")


def a_recipe(modality: str = "image", max_bad: float = 0.01, **shards: Any) -> Recipe:
    values = {
        "name": "r",
        "task": {"kind": f"{modality}-classification"},
        "data": {"source": {"kind": "folder", "path": "unused"}, "max_bad": max_bad},
        "shard": {"samples": 3, **shards},
        "model": {"kind": "resnet18" if modality == "image" else "tsm_resnet18"},
        "augment": {"train": [], "eval": []},
        "optimizer": {"kind": "sgd"},
        "train": {"duration": "1ep", "batch_size": 2},
    }
    return check(values, "r")


def image(number: int, size: tuple[int, int] = (24, 32)) -> bytes:
    return encode_jpeg(np.full((*size, 3), 20 * number, np.uint8), 90)


def video(number: int) -> bytes:
    return encode(np.full((4, 32, 48, 3), 20 * number, np.uint8), fps=8)


def ingested(folder: Path, contents: Sequence[bytes], extension: str = "jpg") -> Artifact:
    """As ingest leaves it: seven of ten samples in train, classes in turn."""
    files = folder / "ingest" / "files"
    files.mkdir(parents=True)
    rows = []
    for i, content in enumerate(contents):
        (files / f"{i}.{extension}").write_bytes(content)
        split = "train" if i % 10 < 7 else "val"
        rows.append({"path": f"files/{i}.{extension}", "key": f"x/{i}.{extension}", "split": split, "label": i % 2})
    write_rows(folder / "ingest" / "samples.jsonl", rows)
    write_rows(folder / "ingest" / "quarantine.jsonl", [])
    (folder / "ingest" / "classes.json").write_text('["cat", "dog"]')
    return Artifact(folder / "ingest", {"facts": {"samples": len(rows), "quarantined": 0}})


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_images_become_a_dataset(tmp_path: Path) -> None:
    source = ingested(tmp_path, [image(i) for i in range(COUNT)])
    context = a_context(a_recipe(), tmp_path, ingest=source)
    facts = shard.run(context)
    assert facts == {"train": 7, "val": 3, "shards": 4, "bytes": facts["bytes"], "quarantined": 0}
    dataset = open_dataset(context.out)
    assert (dataset.classes, dataset.modality) == (("cat", "dog"), "image")
    assert dataset.split("train").counts.tolist() == [3, 3, 1]
    assert dataset.split("train").class_counts == (4, 3)
    assert context.sha256s.keys() == {"train/shard-000000.tar", "train/shard-000001.tar", "train/shard-000002.tar"} | {
        "val/shard-000000.tar"
    }
    first = members(context.out / "train" / "shard-000000.tar")
    told = json.loads(first["000000000.json"])
    number = int(told["source"].removeprefix("x/").removesuffix(".jpg"))
    assert first["000000000.jpg"] == image(number)  # small enough: as it was
    assert int(first["000000000.cls"]) == told["label"] == number % 2
    assert (told["width"], told["height"], told["class"]) == (32, 24, ["cat", "dog"][number % 2])


def test_samples_are_shuffled_by_the_seed(tmp_path: Path) -> None:
    source = ingested(tmp_path, [image(i) for i in range(COUNT)])

    def order(seed: int) -> list[str]:
        context = a_context(a_recipe().model_copy(update={"seed": seed}), tmp_path / str(seed), ingest=source)
        shard.run(context)
        tars = sorted((context.out / "train").glob("*.tar"))
        return [json.loads(data)["source"] for tar in tars for name, data in members(tar).items() if "json" in name]

    zero, one = order(0), order(1)
    assert zero != sorted(zero)
    assert zero != one
    assert sorted(zero) == sorted(one)


def test_a_shard_of_a_mixture_holds_samples_of_one_source(tmp_path: Path) -> None:
    """Sources follow each other by name; within one the order is that of the hash, as ever."""
    source = ingested(tmp_path, [image(i) for i in range(COUNT)])
    rows = read_rows(source.files.path / "samples.jsonl")
    names = ["web", "own", "own", "web", "own", "web", "own", "own", "own", "own"]
    write_rows(
        source.files.path / "samples.jsonl",
        [row | {"source": name, "key": f"{name}/{row['key']}"} for row, name in zip(rows, names, strict=True)],
    )
    context = a_context(a_recipe(), tmp_path, ingest=source)
    shard.run(context)
    train = open_dataset(context.out).split("train")
    assert [(one.source, one.samples) for one in train.shards] == [("own", 3), ("own", 1), ("web", 3)]
    for one in train.shards:
        told = [json.loads(data) for name, data in members(context.out / one.name).items() if "json" in name]
        assert {each["source"].split("/")[0] for each in told} == {one.source}
    keys = [name for one in train.shards for name in members(context.out / one.name)]
    assert len(set(keys)) == len(keys)
    again = replace(context, out=context.out)  # what is finished is taken as it was noted, with its source
    shard.run(again)
    assert open_dataset(again.out).split("train").shards == train.shards


def test_large_images_are_made_smaller(tmp_path: Path) -> None:
    source = ingested(tmp_path, [image(i, (60, 90)) for i in range(COUNT)])
    context = a_context(a_recipe(image={"short_side": 30}), tmp_path, ingest=source)
    shard.run(context)
    told = json.loads(members(context.out / "val" / "shard-000000.tar")["000000000.json"])
    assert (told["width"], told["height"]) == (45, 30)


@pytest.mark.parametrize("transcode", [True, False])
def test_videos(tmp_path: Path, transcode: bool) -> None:
    source = ingested(tmp_path, [video(i) for i in range(COUNT)], "mp4")
    recipe = a_recipe("video", video={"short_side": 16, "transcode": transcode})
    context = a_context(recipe, tmp_path, ingest=source)
    assert shard.run(context)["train"] == 7
    told = json.loads(members(context.out / "val" / "shard-000000.tar")["000000000.json"])
    size = (24, 16) if transcode else (48, 32)
    assert (told["width"], told["height"], told["frames"], told["fps"]) == (*size, 4, 8.0)


def test_flow_of_videos_from_folders_of_their_own(tmp_path: Path) -> None:
    """TV-L1 as u/NAME/frame000001.jpg, v/NAME/...; what changes there makes the stage run again."""
    for axis, level in (("u", 200), ("v", 100)):
        folder = tmp_path / axis / "v_run_g01_c01"
        folder.mkdir(parents=True)
        for i in (1, 2, 3):
            (folder / f"frame{i:06}.jpg").write_bytes(encode_jpeg(np.full((32, 48, 3), level, np.uint8), 95))
    (tmp_path / "v_run_g01_c01.mp4").write_bytes(video(3))
    flow = {"method": "files", "crf": 0, **{x: f"{tmp_path}/{u}/{{video}}/frame*.jpg" for x, u in ("xu", "yv")}}
    recipe = a_recipe("video", flow=flow, video={"short_side": 32})
    row: Any = {"key": "run/v_run_g01_c01.mp4", "classes": ["run"], "label": 0, "width": 48, "height": 32}
    made = shard.store_sample(tmp_path / "v_run_g01_c01.mp4", row, ["run"], recipe)
    fields = read_flow(made.members["flow.mp4"], np.arange(4))
    assert fields.shape == (4, 2, 32, 48)
    assert np.ptp(fields[:, 0]) <= 1
    assert {round(float(fields[:, axis].mean())) for axis in (0, 1)} == {200, 100}
    before = shard.outside(plain(recipe))
    assert before
    (tmp_path / "u" / "v_run_g01_c01" / "frame000001.jpg").unlink()
    assert shard.outside(plain(recipe)) != before
    assert shard.outside(plain(a_recipe("video"))) is None
    (tmp_path / "u").rename(tmp_path / "elsewhere")
    with pytest.raises(ZoetropeError, match=r"shard\.flow: .*/u is no folder; it should hold one with files of flow"):
        shard.outside(plain(recipe))


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    source = ingested(tmp_path, [video(i) for i in range(COUNT)], "mp4")
    made = []
    for attempt in ("a", "b"):
        context = a_context(a_recipe("video"), tmp_path / attempt, ingest=source)
        shard.run(context)
        made.append(contents(context.out))
    assert made[0] == made[1]


def test_what_cannot_be_decoded_is_left_out(tmp_path: Path) -> None:
    files = [image(i) for i in range(COUNT)]
    files[0] = files[0][:-10]  # its header is whole
    files[9] = b""
    source = ingested(tmp_path, files)
    context = a_context(a_recipe(max_bad=0.5), tmp_path, ingest=source)
    facts = shard.run(context)
    assert (facts["train"], facts["val"], facts["quarantined"]) == (6, 2, 2)
    rows = read_rows(context.out / "quarantine.jsonl")
    assert [(row["source"], row["stage"]) for row in rows] == [("x/0.jpg", "shard"), ("x/9.jpg", "shard")]
    assert rows[0]["reason"].startswith("the image is broken or cut off")
    assert open_dataset(context.out).split("train").samples == 6


def test_what_ingest_left_out_counts_too(tmp_path: Path) -> None:
    source = ingested(tmp_path, [image(i) for i in range(COUNT)])
    source = replace(source, manifest={"facts": {"samples": COUNT, "quarantined": 1}})
    write_rows(source.path / "quarantine.jsonl", [{"source": "x/bad.jpg", "stage": "ingest", "reason": "no image"}])
    with pytest.raises(ZoetropeError, match=r"^1 of 11 files cannot be used; data\.max_bad = 0\.05 allows 0:\n  x/bad"):
        shard.run(a_context(a_recipe(max_bad=0.05), tmp_path / "strict", ingest=source))
    context = a_context(a_recipe(max_bad=0.1), tmp_path / "lenient", ingest=source)
    assert shard.run(context)["quarantined"] == 1
    assert [row["stage"] for row in read_rows(context.out / "quarantine.jsonl")] == ["ingest"]


def test_too_many_that_cannot_be_decoded(tmp_path: Path) -> None:
    files = [video(i)[:-200] for i in range(COUNT)]
    source = ingested(tmp_path, files, "mp4")
    context = a_context(a_recipe("video"), tmp_path, ingest=source)
    with pytest.raises(ZoetropeError, match=r"^10 of 10 files cannot be used; .*:\n  x/\d\.mp4: ") as caught:
        shard.run(context)
    assert "  and 5 more, see " + str(context.out / "quarantine.jsonl") in str(caught.value)
    assert not (context.out / "dataset.json").exists()


@pytest.mark.slow
def test_a_sample_that_hangs_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes into the pipe, so that opening it never ends."""
    monkeypatch.setattr(shard, "each_apart", each_apart)
    source = ingested(tmp_path, [image(i) for i in range(COUNT)])
    path = source.files.path / "files" / "0.jpg"
    path.unlink()
    os.mkfifo(path)
    recipe = a_recipe(max_bad=0.5)
    recipe = recipe.model_copy(update={"feed": recipe.feed.model_copy(update={"timeout_s": 1.0})})
    facts = shard.run(a_context(recipe, tmp_path, ingest=source))
    assert (facts["train"], facts["val"], facts["quarantined"]) == (6, 3, 1)
    (row,) = read_rows(tmp_path / "out" / "quarantine.jsonl")
    assert row == {
        "source": "x/0.jpg",
        "stage": "shard",
        "reason": "its decoder took longer than feed.timeout_s = 1 s, 2 times",
    }


def test_finished_shards_are_kept_with_their_bad_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [image(i) for i in range(COUNT)]
    files[0] = b"broken"
    source = ingested(tmp_path, files)
    context = a_context(a_recipe(max_bad=0.5), tmp_path, ingest=source)
    real, made = shard.store_sample, []

    def dies_at_the_fifth(path: Path, *rest: Any) -> Any:
        made.append(path.name)
        if len(made) == 5:
            raise RuntimeError("killed")
        return real(path, *rest)

    monkeypatch.setattr(shard, "store_sample", dies_at_the_fifth)
    with pytest.raises(RuntimeError, match="killed"):
        shard.run(context)
    assert not (context.out / "train" / "shard-000001.tar").exists()
    first = made[:3]
    made[:] = ["went on"] * 10
    facts = shard.run(context)
    assert facts["train"] + facts["val"] == 9
    assert not set(first) & set(made[10:])
    monkeypatch.undo()
    monkeypatch.setattr(shard, "run_parallel", lambda function, arguments: (function(*a) for a in arguments))
    whole = a_context(a_recipe(max_bad=0.5), tmp_path / "whole", ingest=source)
    shard.run(whole)
    assert contents(context.out) == contents(whole.out)
