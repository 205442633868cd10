"""Tables, segments, folders of frames and sets of labels through ingest and shard; Ray tasks run in this process."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.transcode import encode
from pipeline.decode.video import decode_frames
from pipeline.graph.plan import Context
from pipeline.recipe import Recipe, RecipeError, check
from pipeline.shards.dataset import open_dataset
from pipeline.shards.reader import RawSample, ShardReader
from pipeline.stages import ingest, shard
from pipeline.stages.json_lines import read_rows
from pipeline.store import Artifact
from tests.pipeline.stages.alone import a_context, said

FPS = 10


pytestmark = pytest.mark.usefixtures("in_this_process")


def a_recipe(source: dict[str, Any], task: str = "video-classification", **sections: Any) -> Recipe:
    values = {
        "name": "r",
        "task": {"kind": task},
        "data": {"source": source, "split": {"val": 0.5}, "max_bad": sections.pop("max_bad", 0.01)},
        "model": {"kind": "tsm_resnet18" if task.startswith("video") else "resnet18"},
        "augment": {"train": [], "eval": []},
        "optimizer": {"kind": "sgd"},
        "train": {"duration": "1ep", "batch_size": 2},
        **sections,
    }
    return check(values, "r")


def sharded(recipe: Recipe, folder: Path) -> tuple[Context, Context]:
    first = a_context(recipe, folder / "ingest")
    facts = ingest.run(first)
    second = a_context(recipe, folder / "shard", ingest=Artifact(first.out, {"facts": facts}))
    shard.run(second)
    return first, second


def stored(out: Path) -> dict[str, RawSample]:
    """Source key -> sample, of both splits."""
    found = {}
    for name, split in open_dataset(out).splits.items():
        reader = ShardReader(out, name)
        for number, listed in enumerate(split.shards):
            for i in range(listed.samples):
                raw = reader.read(number, i)
                tar = (out / listed.name).read_bytes()
                at = tar.index(f"{raw.key}.json\0".encode()) + 512
                described = json.loads(tar[at : tar.index(b"\0", at)])
                found[described["source"]] = raw
    return found


def clip(first: int, count: int) -> np.ndarray:
    """uint8 [count, 32, 48, 3]: frame i is grey of the level 5 * (first + i)."""
    levels = np.arange(first, first + count, dtype=np.uint8) * 5
    return np.broadcast_to(levels[:, None, None, None], (count, 32, 48, 3)).copy()


def numbers(raw: RawSample) -> list[int]:
    decoded = decode_frames(raw.data, np.arange(raw.frames))
    return [round(float(frame.mean()) / 5) for frame in decoded]


def test_segments_of_one_video_are_several_samples(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(encode(clip(0, 40), FPS))
    (tmp_path / "b.mp4").write_bytes(encode(clip(5, 20), FPS))
    (tmp_path / "t.csv").write_text(
        "path,label,split,start_s,end_s\n"
        "a.mp4,run,train,0,1\na.mp4,sit,train,1.0,3.25\na.mp4,run,val,3.25,\nb.mp4,sit,val,0.5,0.8\n"
        "b.mp4,sit,train,,\nb.mp4,sit,train,7,8\nb.mp4,sit,train,1,9\nnone.mp4,run,train,0,1\n"
    )
    recipe = a_recipe({"kind": "table", "path": str(tmp_path / "t.csv")}, max_bad=0.5, shard={"samples": 2})
    first, second = sharded(recipe, tmp_path)
    assert {key: numbers(raw) for key, raw in stored(second.out).items()} == {
        "a.mp4#0-1": list(range(10)),
        "a.mp4#1-3.25": list(range(10, 33)),
        "a.mp4#3.25-": list(range(33, 40)),
        "b.mp4#0.5-0.8": [10, 11, 12],
        "b.mp4": list(range(5, 25)),
    }
    header = {row["key"]: row["frames"] for row in read_rows(first.out / "samples.jsonl")}
    assert (header["a.mp4#1-3.25"], header["a.mp4#3.25-"]) == (22, 8)  # by the header, not counted
    assert {row["source"]: row["reason"] for row in read_rows(second.out / "quarantine.jsonl")} == {
        "b.mp4#7-8": "start_s 7 lies behind the video's end at 2.000 s",
        "b.mp4#1-9": "end_s 9 lies behind the video's end at 2.000 s",
        "none.mp4#0-1": f"there is no file {tmp_path / 'none.mp4'}",
    }


def test_urls(tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / f"{i}.mp4").write_bytes(encode(clip(i, 10), FPS))
    rows = [
        f"{tmp_path.as_uri()}/{i}.mp4,{'run' if i % 2 else 'sit'},{split},{i % 2 or ''}"
        for i, split in enumerate(["train", "train", "val", "val"])
    ]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,split,end_s", *rows]))
    _, second = sharded(a_recipe({"kind": "table", "path": (tmp_path / "t.csv").as_uri()}), tmp_path)
    assert {key.rpartition("/")[2]: numbers(raw) for key, raw in stored(second.out).items()} == {
        "0.mp4": list(range(10)),
        "1.mp4#-1": list(range(1, 11)),
        "2.mp4": list(range(2, 12)),
        "3.mp4#-1": list(range(3, 13)),
    }


def test_refused_rows_count_as_bad(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(encode(clip(0, 40), FPS))
    (tmp_path / "t.csv").write_text(
        "path,label,split,start_s\na.mp4,run,train,0\na.mp4,sit,val,soon\na.mp4,sit,val,1\n"
    )
    recipe = a_recipe({"kind": "table", "path": str(tmp_path / "t.csv")})
    with pytest.raises(ZoetropeError, match="has samples of class 'sit', and train has none"):
        ingest.run(a_context(recipe, tmp_path / "x"))
    (tmp_path / "t.csv").write_text(
        "path,label,split,start_s\na.mp4,run,train,0\na.mp4,sit,train,2\na.mp4,sit,val,soon\na.mp4,sit,val,1\n"
    )
    with pytest.raises(
        ZoetropeError, match=r"1 of 4 files cannot be used(.|\n)*row 3: its start_s 'soon' is no number"
    ):
        ingest.run(a_context(recipe, tmp_path / "x"))


def test_segments_and_frames_must_be_encoded(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(encode(clip(0, 40), FPS))
    (tmp_path / "t.csv").write_text(
        "path,label,split,end_s\n"
        + "".join(
            f"a.mp4,{label},{split},{end}\n"
            for end, (label, split) in enumerate([("run", "train"), ("sit", "train"), ("run", "val")], 1)
        )
    )
    recipe = a_recipe({"kind": "table", "path": str(tmp_path / "t.csv")}, shard={"video": {"transcode": False}})
    with pytest.raises(ZoetropeError, match=r"shard.video.transcode: false stores the source's files, and 3 samples"):
        sharded(recipe, tmp_path)


def test_folders_of_frames(tmp_path: Path) -> None:
    for number, name in enumerate(("train/run/1", "train/sit/2", "val/run/3", "val/run/4")):
        folder = tmp_path / "frames" / name
        folder.mkdir(parents=True)
        for i, picture in enumerate(clip(number, 12)):
            cv2.imwrite(str(folder / f"img_{i + 1}.png"), picture)
    (tmp_path / "frames/val/run/4/img_7.png").write_bytes(b"no picture")
    source = {"kind": "frames", "path": str(tmp_path / "frames"), "fps": 8}
    first, second = sharded(a_recipe(source, max_bad=0.5), tmp_path)
    samples = stored(second.out)
    assert {key: numbers(raw) for key, raw in samples.items()} == {
        name: list(range(i, i + 12)) for i, name in enumerate(("train/run/1", "train/sit/2", "val/run/3"))
    }
    row = read_rows(first.out / "samples.jsonl")[0]
    assert (row["frames"], row["fps"], row["duration_s"]) == (12, 8.0, 1.5)
    (bad,) = read_rows(second.out / "quarantine.jsonl")
    assert bad["source"] == "val/run/4"
    assert bad["reason"].startswith("img_7.png: its content is no image that can be read: JPEG, PNG")


def test_sets_of_labels(tmp_path: Path) -> None:
    rows = ["1.jpg,cat|dog,train", "2.jpg,,train", "3.jpg,dog,train", "4.jpg,eel|cat,val", "5.jpg,,val"]
    for i in range(1, 6):
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), np.zeros((24, 32, 3), np.uint8))
    (tmp_path / "t.csv").write_text("\n".join(["path,label,split", *rows]))
    source = {"kind": "table", "path": str(tmp_path / "t.csv"), "separator": "|"}
    first, second = sharded(a_recipe(source, "image-multilabel"), tmp_path)
    assert json.loads((first.out / "classes.json").read_text()) == ["cat", "dog", "eel"]
    assert {key: raw.label for key, raw in stored(second.out).items()} == {
        "1.jpg": (0, 1),
        "2.jpg": (),
        "3.jpg": (1,),
        "4.jpg": (0, 2),
        "5.jpg": (),
    }
    assert open_dataset(second.out).split("train").class_counts == (1, 2, 0)
    assert said(first) == [
        "ingest: 2 samples have no label at all",
        "ingest: not in train, so not learned: 'eel'",
        "ingest: not in val, so not measured: 'dog'",
        "ingest: data: 3 train, 2 val, 3 classes: cat 1+1, dog 2+0, eel 0+1",
    ]


def test_missing_videos_are_said_and_listed(tmp_path: Path) -> None:
    (tmp_path / "k.csv").write_text(
        "label,youtube_id,time_start,time_end,split\n"
        "run,a,0,1,train\nsit,b,0,1,train\nrun,c,0,1,validate\nrun,d,0,1,train\n"
    )
    (tmp_path / "videos").mkdir()
    for name in "abc":
        (tmp_path / "videos" / f"{name}_000000_000001.mp4").write_bytes(encode(clip(0, 4), FPS))
    source = {"kind": "kinetics", "path": str(tmp_path / "videos"), "annotations": str(tmp_path / "k.csv")}
    context = a_context(a_recipe(source), tmp_path / "ingest")
    facts = ingest.run(context)
    assert (facts["samples"], facts["quarantined"], facts["classes"], facts["missing"]) == (3, 0, 2, 1)
    assert (context.out / "missing.txt").read_text() == "d_000000_000001\n"
    assert said(context)[0] == (
        "ingest: missing are 1 of the videos that the annotations name, such as d_000000_000001; "
        "ingest lists all in missing.txt"
    )
    (tmp_path / "videos" / "b_000000_000001.mp4").unlink()
    with pytest.raises(ZoetropeError, match=r"one class only, 'run'.*\n  missing are 2 of the videos .*_000001$"):
        ingest.look(a_recipe(source))


@pytest.mark.parametrize(
    ("task", "source", "says"),
    [
        ("video-multilabel", {"path": "t.csv"}, "data.source.separator: is missing; say what stands between"),
        ("video-multilabel", {"path": "t.csv", "separator": ""}, "data.source.separator: is empty"),
        ("video-classification", {"path": "t.jsonl", "separator": "|"}, "data.source.separator: is for several labels"),
    ],
)
def test_separators_that_do_not_fit_the_task(task: str, source: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        a_recipe({"kind": "table", **source}, task)


def test_the_task_fits_the_source() -> None:
    with pytest.raises(RecipeError, match=r"ucf101 makes videos, but task.kind is image-classification"):
        a_recipe({"kind": "ucf101", "path": "a", "annotations": "b"}, "image-classification")
