"""The ingest stage on files of its own making; its Ray tasks are run in this process."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.image import encode_jpeg
from pipeline.decode.transcode import encode
from pipeline.graph.plan import Context
from pipeline.recipe import Recipe, check
from pipeline.sources.listing import Candidate
from pipeline.stages import headers, ingest
from pipeline.stages.json_lines import read_rows
from tests.pipeline.stages.alone import a_context, said

JPEG = encode_jpeg(np.zeros((24, 32, 3), np.uint8), 90)
MP4 = encode(np.zeros((4, 32, 48, 3), np.uint8), fps=8)


pytestmark = pytest.mark.usefixtures("in_this_process")


def a_recipe(source: dict[str, Any], modality: str = "image", **data: Any) -> Recipe:
    values = {
        "name": "r",
        "task": {"kind": f"{modality}-classification"},
        "data": {"source": source, **data},
        "model": {"kind": "resnet18" if modality == "image" else "tsm_resnet18"},
        "augment": {"train": [], "eval": []},
        "optimizer": {"kind": "sgd"},
        "train": {"duration": "1ep", "batch_size": 2},
    }
    return check(values, "r")


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def run(
    files: dict[str, bytes], tmp_path: Path, modality: str = "image", **data: Any
) -> tuple[Context, dict[str, Any]]:
    source = {"kind": "folder", "path": str(write(tmp_path / "source", files))}
    context = a_context(a_recipe(source, modality, **data), tmp_path)
    return context, ingest.run(context)


def refusal(files: dict[str, bytes], tmp_path: Path, modality: str = "image", **data: Any) -> str:
    with pytest.raises(ZoetropeError) as caught:
        run(files, tmp_path, modality, **data)
    assert not (tmp_path / "out" / "samples.jsonl").exists()
    return str(caught.value)


GOOD = {"train/dog/1.jpg": JPEG, "train/cat/2.jpg": JPEG, "val/cat/3.jpg": JPEG, "val/dog/4.jpg": JPEG}


def test_images(tmp_path: Path) -> None:
    context, facts = run(GOOD, tmp_path)
    assert facts == {
        "samples": 4,
        "quarantined": 0,
        "classes": 2,
        "data": ["data: 2 train, 2 val, 2 classes: cat 1+1, dog 1+1"],
    }
    assert json.loads((context.out / "classes.json").read_text()) == ["cat", "dog"]
    rows = read_rows(context.out / "samples.jsonl")
    assert [(row["key"], row["label"], row["split"]) for row in rows] == [
        ("train/cat/2.jpg", 0, "train"),
        ("train/dog/1.jpg", 1, "train"),
        ("val/cat/3.jpg", 0, "val"),
        ("val/dog/4.jpg", 1, "val"),
    ]
    first = rows[0]
    assert first["path"] == str(tmp_path / "source" / "train/cat/2.jpg")
    assert (first["width"], first["height"], first["bytes"]) == (32, 24, len(JPEG))
    assert read_rows(context.out / "quarantine.jsonl") == []


def test_videos(tmp_path: Path) -> None:
    context, _ = run({name.replace("jpg", "mp4"): MP4 for name in GOOD}, tmp_path, "video")
    row = read_rows(context.out / "samples.jsonl")[0]
    assert (row["width"], row["height"], row["frames"], row["fps"], row["duration_s"]) == (48, 32, 4, 8.0, 0.5)


NO_IMAGE = "its content is no image that can be read: JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or PPM"
BAD_IMAGES = {
    "train/cat/empty.jpg": (b"", "the file is empty (zero bytes)"),
    "train/cat/text.jpg": (b"not a picture", NO_IMAGE),
    "train/dog/video.jpg": (MP4, NO_IMAGE),
}
BAD_VIDEOS = {
    "train/cat/empty.mp4": (b"", "the file is empty (zero bytes)"),
    "train/cat/text.mp4": (b"#EXTM3U\nhttp://127.0.0.1/x", "its content is no MP4, MOV, AVI, MKV, WebM, "),
    "train/dog/cut.mp4": (MP4[: len(MP4) // 3], "the video cannot be opened: its header is broken or the file is cut"),
}


@pytest.mark.parametrize("modality", ["image", "video"])
def test_bad_files_are_left_out_with_a_reason(tmp_path: Path, modality: str) -> None:
    bad = BAD_IMAGES if modality == "image" else BAD_VIDEOS
    good = GOOD if modality == "image" else {name.replace("jpg", "mp4"): MP4 for name in GOOD}
    context, facts = run(good | {name: content for name, (content, _) in bad.items()}, tmp_path, modality, max_bad=0.5)
    assert (facts["samples"], facts["quarantined"], facts["classes"]) == (4, 3, 2)
    first = next(iter(bad))
    assert facts["data"][1].startswith(f"refused: 3, such as {first}: {bad[first][1]}")
    rows = {row["source"]: row for row in read_rows(context.out / "quarantine.jsonl")}
    assert rows.keys() == bad.keys()
    for name, (_, reason) in bad.items():
        assert rows[name]["stage"] == "ingest"
        assert rows[name]["reason"].startswith(reason)
    assert {row["key"] for row in read_rows(context.out / "samples.jsonl")} == good.keys()


def test_too_many_bad_files_say_what_to_do(tmp_path: Path) -> None:
    message = refusal(GOOD | {"train/cat/text.jpg": b"hello"}, tmp_path)
    assert message == (
        "1 of 5 files cannot be used; data.max_bad = 0.01 allows 0:\n"
        f"  train/cat/text.jpg: {NO_IMAGE}\n"
        "Mend or remove these files, or leave them out: data.max_bad=0.2."
    )
    assert len(read_rows(tmp_path / "out" / "quarantine.jsonl")) == 1


def test_a_class_that_is_lost_wholly_is_no_smaller_problem(tmp_path: Path) -> None:
    files = GOOD | {"train/eel/1.jpg": b"", "val/eel/1.jpg": JPEG}
    message = refusal(files, tmp_path, max_bad=0.5)
    assert message.startswith("no sample of class 'eel' can be used in the split 'train'. The reasons are in ")
    assert str(tmp_path / "out" / "quarantine.jsonl") in message


@pytest.mark.parametrize(
    ("names", "data", "says"),
    [
        ([], {}, "data.source.path: {root} is empty. It should hold one folder a class"),
        (
            ["train/cat/1", "val/cat/2"],
            {},
            "data.source.path: {root} has one class only, 'cat', and a classifier needs two.",
        ),
        (["cat/1", "cat/2"], {}, "data.source.path: {root} has one class only, 'cat'"),
        (
            ["train/cat/1", "train/dog/1", "val/cat/1", "val/god/2"],
            {},
            "data.source.path: {root}: val has samples of class 'god', and train has none. Is the name spelt alike",
        ),
        (
            ["train/cat/1", "train/dog/1", "val/cat/1", "test/cat/1", "test/god/2"],
            {},
            "data.source.path: {root}: test has samples of class 'god', and train has none. Is the name spelt alike",
        ),
        (
            ["train/cat/1", "train/dog/1", "val/cat/1"],
            {"split": {"test": 0.1}},
            "data.split.test: data.source.path: {root} says itself what is held out, so there is nothing to split.",
        ),
        (
            ["train/cat/1", "train/dog/1", "test/cat/1"],
            {"split": {"test": 0.1}},
            "data.split.test: data.source.path: {root} has a test split of its own. Leave data.split.test out",
        ),
        (
            [f"{name}/{i}" for name in ("cat", "dog") for i in range(9)],
            {"split": {"test": 0.001}},
            "data.split.test: a share of 0.001 leaves no sample of 18 in the split 'test'. Add samples, change data.",
        ),
        (
            ["cat/1", "dog/1"],
            {},
            "data.split.val: a share of 0.2 leaves no sample of 2 in the split 'val'. Add samples,",
        ),
        (
            ["cat/9", "dog/1", "dog/2"],
            {},
            "data.split.val: all samples of class 'cat' fell to val, and none to train. Add samples,",
        ),
    ],
)
def test_what_no_classifier_can_be_made_of(tmp_path: Path, names: list[str], data: dict[str, Any], says: str) -> None:
    (tmp_path / "source").mkdir()
    message = refusal({f"{name}.jpg": JPEG for name in names}, tmp_path, **data)
    assert message.startswith(says.format(root=tmp_path / "source"))


def test_a_val_folder_without_a_file_of_the_kind_is_not_taken_for_none(tmp_path: Path) -> None:
    files = {f"train/{name}/{i}.jpg": JPEG for name in ("cat", "dog") for i in range(20)}
    message = refusal(files | {"val/cat/1.heic": b"x"}, tmp_path)
    assert message.startswith(f"data.source.path: {tmp_path / 'source' / 'val'} holds no file of .avif, .bmp,")


def test_what_was_passed_over_or_is_not_measured_is_said(tmp_path: Path) -> None:
    context, _ = run(GOOD | {"train/eel/1.jpg": JPEG, "train/cat/notes.txt": b"x", "more/cat/1.jpg": JPEG}, tmp_path)
    assert said(context) == [
        "ingest: files passed over: 1 x .txt, 1 x in more",
        "ingest: not in val, so not measured: 'eel'",
        "ingest: data: 3 train, 2 val, 3 classes: cat 1+1, dog 1+1, eel 1+0",
    ]


def test_a_test_split(tmp_path: Path) -> None:
    context, _ = run(GOOD | {"test/cat/1.jpg": JPEG, "test/2.jpg": JPEG}, tmp_path)
    assert said(context) == [
        "ingest: files passed over: 1 x in test",
        "ingest: not in test, so not measured: 'dog'",
        "ingest: data: 2 train, 2 val, 1 test, 2 classes: cat 1+1+1, dog 1+1+0",
    ]
    assert [row["split"] for row in read_rows(context.out / "samples.jsonl")] == [
        "test",
        "train",
        "train",
        "val",
        "val",
    ]


def test_a_test_folder_without_classes_is_no_split(tmp_path: Path) -> None:
    context, _ = run(GOOD | {"test/unknown/1.jpg": JPEG}, tmp_path)
    assert said(context)[0] == "ingest: files passed over: 1 x in test, of no class of train"
    assert json.loads((context.out / "classes.json").read_text()) == ["cat", "dog"]


def test_a_file_without_permission_is_quarantined() -> None:
    with tempfile.TemporaryDirectory() as name:  # tmp_path lies in a folder of mode 0700
        Path(name).chmod(0o755)
        path = Path(name, "1.jpg")
        path.write_bytes(JPEG)
        path.chmod(0)
        with not_root():
            good, bad = headers.probe_chunk("image", 60, [Candidate("cat/1.jpg", str(path), ("cat",), "train")])
    assert good == []
    assert bad == [{"source": "cat/1.jpg", "stage": "ingest", "reason": "no permission to read the file"}]


@contextmanager
def not_root() -> Iterator[None]:
    """Root may read everything, so be nobody for a while."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_drawn_samples_lie_in_the_artifact(tmp_path: Path) -> None:
    source = {"kind": "moving-digits", "samples": 70, "size_px": 16, "frames": 2}
    context = a_context(a_recipe(source, "video", split={"val": 0.3}), tmp_path)
    facts = ingest.run(context)
    assert (facts["samples"], facts["quarantined"], facts["classes"]) == (70, 0, 4)
    rows = read_rows(context.out / "samples.jsonl")
    assert all((context.out / row["path"]).stat().st_size == row["bytes"] for row in rows)
    assert ingest.outside({"data": {"source": source}}) == ""


def test_the_data_do_not_depend_on_the_seed(tmp_path: Path) -> None:
    """The seed is no key of ingest: repeating a training with another seed is to see the same data."""
    source = {"kind": "moving-digits", "samples": 16, "size_px": 16, "frames": 2}
    made = []
    for seed in (0, 1):
        recipe = a_recipe(source, "video", split={"val": 0.5}).model_copy(update={"seed": seed})
        context = a_context(recipe, tmp_path / str(seed))
        ingest.run(context)
        made.append({p.relative_to(context.out): p.read_bytes() for p in context.out.rglob("*") if p.is_file()})
    assert made[0] == made[1]


def test_other_classes_than_the_folders(tmp_path: Path) -> None:
    classes = {"merge": {"pet": ["cat", "dog"]}, "rename": {"eel": "fish"}, "keep": ["pet", "fish"]}
    more = {f"{split}/{name}/5.jpg": JPEG for split in ("train", "val") for name in ("eel", "fox")}
    context, facts = run(GOOD | more, tmp_path, classes=classes)
    left_out = "files passed over: 2 x of classes that data.classes.keep leaves out"
    assert facts["data"] == ["data: 3 train, 3 val, 2 classes: fish 1+1, pet 2+2", left_out]
    assert json.loads((context.out / "classes.json").read_text()) == ["fish", "pet"]
    assert said(context) == [f"ingest: {left_out}", f"ingest: {facts['data'][0]}"]
    rows = read_rows(context.out / "samples.jsonl")
    assert {row["key"]: row["label"] for row in rows} == {
        **dict.fromkeys(GOOD, 1),
        "train/eel/5.jpg": 0,
        "val/eel/5.jpg": 0,
    }


def test_a_class_that_would_vanish_is_an_error_unless_it_is_not_wanted(tmp_path: Path) -> None:
    files = GOOD | {"train/eel/1.heic": b"x", "val/eel/2.heic": b"x"}
    message = refusal(files, tmp_path)
    assert message.startswith(f"data.source.path: {tmp_path / 'source'}: nothing of class 'eel' can be used; of 'eel' ")
    assert "there is 2 x .heic (HEIC is not read; convert it" in message
    assert message.endswith("or name the classes that count in data.classes.keep.")
    context, _ = run(files, tmp_path / "again", classes={"keep": ["cat", "dog"]})
    assert said(context)[0] == "ingest: files passed over: 2 x .heic"


def test_too_many_rows_that_are_refused_stop_before_a_file_is_opened(tmp_path: Path) -> None:
    rows = [f"{i}.jpg,{i % 2}" for i in range(20)] + ["clip.mp4,1"]
    (tmp_path / "table.csv").write_text("\n".join(["path,label", *rows]))
    with pytest.raises(ZoetropeError) as caught:
        ingest.run(a_context(a_recipe({"kind": "table", "path": str(tmp_path / "table.csv")}), tmp_path))
    assert str(caught.value) == (
        "1 of 21 files cannot be used; data.max_bad = 0.01 allows 0:\n"
        "  row 21: .mp4 is an extension of videos, and task.kind asks for images\n"
        "Mend or remove these files, or leave them out: data.max_bad=0.048."
    )
    assert len(read_rows(tmp_path / "out" / "quarantine.jsonl")) == 1


def test_what_was_refused_is_said_where_too_little_is_left(tmp_path: Path) -> None:
    def refusal(rows: str, **data: Any) -> str:
        (tmp_path / "table.csv").write_text(rows)
        with pytest.raises(ZoetropeError) as caught:
            ingest.look(a_recipe({"kind": "table", "path": str(tmp_path / "table.csv")}, **data))
        return str(caught.value)

    says = refusal("path,label,split\n0.jpg,cat,train\n./0.jpg,dog,train\n1.jpg,cat,val\n2.jpg,cat,train")
    assert "nothing of class 'dog' can be used; of 'dog' there is row 2, which is refused: 0.jpg has several" in says
    says = refusal("path,label\n0.jpg,cat\n1.jpg,dog\n2.jpg,dog\n3.jpg,\n", split={"val": 0.001})
    assert "leaves no sample of 3 in the split 'val'" in says
    assert says.endswith("\n  refused: 1, such as row 4: its label is empty")
    rows = "path,label,split\n0.jpg,cat,train\n1.jpg,dog,train\n2.jpg,eel,val\n3.jpg,,val\n"
    says = refusal(rows, classes={"keep": ["cat", "dog"]})
    assert f"{tmp_path / 'table.csv'}: no sample of the split 'val' is left that can be used.\n" in says
    assert says.endswith("\n  refused: 1, such as row 4: its label is empty")
