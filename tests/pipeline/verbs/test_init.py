"""`init` on a small made data set of every kind: what it says, and that `plan` takes what it writes as it is."""

import json
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from pipeline.base.errors import ZoetropeError
from pipeline.base.terminal import Terminal
from pipeline.decode.image import encode_jpeg
from pipeline.decode.transcode import encode
from pipeline.recipe import Recipe, load
from pipeline.recipe.json_schema import KEPT
from pipeline.verbs.init import init
from pipeline.verbs.planning import make_plan
from tests.conftest import Project, clip, picture

CLASSES = ("blue", "green")
pytestmark = pytest.mark.usefixtures("in_this_process")


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def jpeg(label: int, seed: int) -> bytes:
    return encode_jpeg(picture(label, seed), 95)


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def mask(seed: int, value: int = 1) -> np.ndarray:
    """uint8 [20, 24], of the size of `picture`: a block of a value on 0."""
    pixels = np.zeros((20, 24), np.uint8)
    pixels[2 : 10 + seed % 8, 3:12] = value
    return pixels


def class_folders(root: Path) -> Path:
    for i in range(20):
        put(root / CLASSES[i % 2] / f"{i}.jpg", jpeg(i % 2, i))
    return root


def split_folders(root: Path) -> Path:
    for i in range(20):
        put(root / ("val" if i < 4 else "train") / CLASSES[i % 2] / f"{i}.jpg", jpeg(i % 2, i))
    return root


def videos(root: Path) -> Path:
    for i in range(12):
        put(root / ("right", "left")[i % 2] / f"{i}.mp4", encode(clip(i % 2, i), 6))
    return root


def frames(root: Path) -> Path:
    for i in range(12):
        for n in range(5):
            put(root / ("run", "sit")[i % 2] / f"v{i}" / f"img_{n:05}.jpg", jpeg(i % 2, 10 * i + n))
    return root


def table(root: Path) -> Path:
    for i in range(20):
        put(root / "images" / f"{i}.jpg", jpeg(i % 2, i))
    lines = "".join(f"{i}.jpg,{CLASSES[i % 2]},{'valid' if i < 4 else 'train'}\n" for i in range(20))
    (root / "labels.csv").write_text(f"image,class,split\n{lines}")
    return root


def table_alone(root: Path) -> Path:
    return table(root) / "labels.csv"


def multilabel(root: Path) -> Path:
    for i in range(20):
        put(root / "images" / f"{i}.jpg", jpeg(i % 2, i))
    lines = "".join(f"images/{i}.jpg,{('sky', 'sky|sea', 'sea', '')[i % 4]}\n" for i in range(20))
    (root / "labels.csv").write_text(f"path,tags\n{lines}")
    return root


def masks(root: Path) -> Path:
    for i in range(20):
        put(root / "images" / f"{i}.jpg", jpeg(i % 2, i))
        put(root / "masks" / f"{i}.png", png(mask(i, 255)))
    return root


def split_masks(root: Path) -> Path:
    for i in range(20):
        split = "val" if i < 4 else "train"
        put(root / split / "images" / f"{i}.jpg", jpeg(i % 2, i))
        put(root / split / "masks" / f"{i}.png", png(mask(i, 1 + i % 2)))
    (root / "classes.txt").write_text("sky\nroad\n")  # and 2, which does not count
    return root


def coloured_pairs(root: Path) -> Path:
    """In one folder, of two colours that nothing names."""
    for i in range(20):
        put(root / f"{i}.jpg", jpeg(i % 2, i))
        put(root / f"{i}_mask.png", png(np.array([[0, 0, 0], [30, 20, 200]], np.uint8)[mask(i)]))
    return root


def masks_in_tars(root: Path) -> Path:
    root.mkdir()
    with tarfile.open(root / "all.tar", "w") as tar:
        for i in range(20):
            for suffix, content in (("jpg", jpeg(i % 2, i)), ("mask.png", png(mask(i, 1 + i % 2)))):
                info = tarfile.TarInfo(f"{i:05}.{suffix}")
                info.size = len(content)
                tar.addfile(info, BytesIO(content))
    return root


def instances(root: Path) -> Path:
    for i in range(20):
        put(root / "images" / f"{i}.jpg", jpeg(i % 2, i))
        put(root / "instances" / f"{i}.png", png(mask(i).astype(np.uint16) * (i + 1)))
    return root


def coco(root: Path) -> Path:
    shape = {"category_id": 7, "segmentation": [[2, 2, 12, 2, 12, 12]]}
    for i in range(20):
        put(root / "images" / f"{i}.jpg", jpeg(i % 2, i))
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 24, "height": 20} for i in range(20)],
        "annotations": [{"id": i, "image_id": i, **shape} for i in range(20)],
        "categories": [{"id": 7, "name": "cat"}],
    }
    (root / "instances.json").write_text(json.dumps(content))
    return root


def tars(root: Path) -> Path:
    root.mkdir()
    for name, numbers in (("train-0", range(0, 8)), ("train-1", range(8, 16)), ("val-0", range(16, 20))):
        with tarfile.open(root / f"{name}.tar", "w") as tar:
            for i in numbers:
                for suffix, content in (("jpg", jpeg(i % 2, i)), ("cls", CLASSES[i % 2].encode())):
                    info = tarfile.TarInfo(f"{i:05}.{suffix}")
                    info.size = len(content)
                    tar.addfile(info, BytesIO(content))
    return root


def lsp(root: Path) -> Path:
    joints = np.stack([np.full((14, 20), 9.0), np.arange(280.0).reshape(14, 20) % 18 + 1, np.zeros((14, 20))])
    for i in range(20):
        put(root / "images" / f"im{i + 1:04}.jpg", jpeg(i % 2, i))
    savemat(root / "joints.mat", {"joints": joints})
    return root


def unlabelled(root: Path) -> Path:
    for i in range(20):
        put(root / f"{i}.jpg", jpeg(i % 2, i))
    return root


class Typed:
    """`init` as a user types it, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "recipe.yaml"

    def __call__(self, data: Path, force: bool = False) -> str:
        console = Terminal(file=open(self.folder / "said.txt", "w"), width=1000)  # noqa: SIM115
        init(console, str(data), self.out, force)
        console.file.close()
        return (self.folder / "said.txt").read_text()

    @property
    def recipe(self) -> Recipe:
        return load(self.out, [f"store={self.folder}/runs"])


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    return Typed(tmp_path)


@pytest.mark.parametrize(
    ("make", "task", "source", "says"),
    [
        (class_folders, "image-classification", "folder", ["2, in this order (train+val): blue ", "20% of each class"]),
        (split_folders, "image-classification", "folder", ["samples  16 train, 4 val", "all 24 x 20 px"]),
        (videos, "video-classification", "folder", ["frames 6, frames a second 6, seconds 1"]),
        (frames, "video-classification", "frames", ["! nothing says how fast the frames follow each other"]),
        (table, "image-classification", "table", ["columns path: image, label: class, split: split"]),
        (table_alone, "image-classification", "table", ["samples  16 train, 4 val"]),
        (multilabel, "image-multilabel", "table", ["2, in this order (train+val): sea "]),
        (masks, "segmentation", "images", ["background", "object", "! nothing names the masks' values"]),
        (split_masks, "segmentation", "images", ["sky ", "road ", "named by classes.txt; ignored: 2"]),
        (coloured_pairs, "segmentation", "images", ["class_0 ", "class_1 ", "! ", "recipe-classes.txt has them: name"]),
        (masks_in_tars, "segmentation", "webdataset", ["masks in .mask.png", "background ", "class-1 ", "class-2 "]),
        (instances, "segmentation", "images", ["an instance map each", "background ", "object "]),
        (coco, "segmentation", "coco", ["COCO's outlines of 1 categories", "cat "]),
        (
            tars,
            "image-classification",
            "webdataset",
            ["WebDataset tars, 3 of them, with labels in .cls", "samples  8 train, 4 val in the first of 2 tars"],
        ),
        (
            lsp,
            "keypoints",
            "lsp",
            ["Leeds Sports Pose: 20 images of a person each, in joints.mat", "samples  16 train, 4 val"],
        ),
        (unlabelled, "restoration", "images", ["pictures without labels", "20%, by data", "! nothing says what these"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_plan_takes_what_init_writes(
    typed: Typed, make: Callable[[Path], Path], task: str, source: str, says: list[str]
) -> None:
    data = make(typed.folder / "data")
    said = typed(data)
    for text in says:
        assert text in said
    assert said.endswith(
        f"{typed.out} is written. Look at it, then:\n"
        f"  python -m pipeline preview {typed.out}\n  python -m pipeline run {typed.out}\n"
    )
    assert (typed.recipe.task.kind, typed.recipe.data.source.kind) == (task, source)
    planned, _ = make_plan(typed.recipe)
    assert len(planned.to_run) == 5
    first = typed.out.read_text()
    assert all(len(line) <= 120 for line in first.splitlines())
    assert typed(data, force=True) == said
    assert typed.out.read_text() == first


def test_the_recipe_of_a_folder(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Word by word; it follows from the data and the machine."""
    from pipeline.draft.machine import Machine

    monkeypatch.setattr("pipeline.verbs.init.this_machine", lambda: Machine(2, 16 << 30, False))
    monkeypatch.setattr("pipeline.verbs.init.start_of", lambda kind: None)
    typed(class_folders(typed.folder / "data"))
    assert typed.out.read_text() == EXPECTED.replace("SCHEMA", str(KEPT))


EXPECTED = """\
# data: a folder a class, 2 of them, 16 training samples. Written by python -m pipeline init; docs/recipe.md explains
#   every key.
#   python -m pipeline plan recipe.yaml
#   python -m pipeline run recipe.yaml
# yaml-language-server: $schema=SCHEMA
name: data
task: {kind: image-classification}
# nothing says what is held out, so data.split does
data: {source: {kind: folder, path: ./data}, split: {val: 0.2, stratify: true}}
shard: {image: {short_side: 64}}  # stored with a shorter side of 64 px at most
model: {kind: resnet18, width: 32, stem: small}  # from scratch; narrow, as there is no GPU here: 64 is the usual width
# 32 px, for pictures of 24 x 20 px, the median
augment:
  train: [{RandomResizedCrop: {size: [32, 32], scale: [0.4, 1.0]}}, HorizontalFlip]
  eval: [{SmallestMaxSize: {max_size: 32}}, {CenterCrop: {height: 32, width: 32}}]
loss: {label_smoothing: 0.1}
optimizer: {kind: sgd, lr: 0.1, base_batch: 64, momentum: 0.9, weight_decay: 0.0005}
schedule: {kind: cosine, warmup: 5%}
train: {duration: 60ep, batch_size: 8, evaluate: 3ep, checkpoint: 3ep}  # 16 training samples; 2 cores, no GPU, 16 GiB
"""


def test_nothing_is_written_over(typed: Typed) -> None:
    typed.out.write_text("mine")
    data = class_folders(typed.folder / "data")
    with pytest.raises(ZoetropeError, match=r"recipe\.yaml is there already\. --force writes over it"):
        typed(data)
    assert typed.out.read_text() == "mine"
    typed(data, force=True)
    assert typed.out.read_text().startswith("# data: a folder a class, 2 of them, ")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("nowhere", "nowhere does not exist."),
        ("s3://bucket/data", "is a URL, and init looks at files of this machine"),
        ("recipe.yaml", "is a recipe already: python -m pipeline plan"),
    ],
)
def test_what_is_no_data(typed: Typed, monkeypatch: pytest.MonkeyPatch, data: str, says: str) -> None:
    monkeypatch.chdir(typed.folder)
    typed.out.write_text("name: x")
    with pytest.raises(ZoetropeError, match=says):
        init(Terminal(), data, typed.out, True)


def test_one_class_only(typed: Typed) -> None:
    for i in range(6):
        put(typed.folder / "data" / "train" / "cat" / f"{i}.jpg", jpeg(0, i))
    with pytest.raises(ZoetropeError, match="has one class only, 'cat', and a classifier needs two"):
        typed(typed.folder / "data")
    assert not typed.out.exists()


def test_what_looks_wrong_is_said(typed: Typed) -> None:
    root = split_folders(typed.folder / "data")
    put(root / "val" / "blue" / "again.jpg", jpeg(0, 10))
    put(root / "train" / "green" / "again.jpg", jpeg(0, 10))
    put(root / "train" / "blue" / "empty.jpg", b"")
    put(root / "train" / "blue" / "page.jpg", b"<html>not found</html>")
    put(root / "train" / "blue" / "drawn.jpg", png(picture(0, 77)))
    put(root / "train" / "blue" / "small.jpg", encode_jpeg(picture(0, 78)[:9, :9], 95))
    put(root / "train" / "grey" / "1.jpg", jpeg(0, 90))
    put(root / "train" / "notes.txt", b"read me")
    said = typed(root)
    for line in (
        "files passed over: 1 x .txt",
        "train/blue/empty.jpg has no bytes",
        "train/blue/page.jpg has a content that cannot be read: its content is no image",
        "train/blue/drawn.jpg has the content of a PNG and the extension .jpg; the content counts",
        "train/blue/small.jpg has a shorter side below 16 px",
        "grey: in train alone, so not measured",
        "the classes are uneven: blue has 12 times the samples of grey",
        "fewer than 10 training samples: green, grey",
        "1 contents are in two splits, such as train/blue/10.jpg and train/green/again.jpg",
        "1 contents have two labels",
    ):
        assert line in said
    assert typed.recipe.data.max_bad == 0.09  # 2 of 27
    assert "# loss: {label_smoothing: 0.1, class_weights: balanced}" in typed.out.read_text()


def test_a_class_of_other_files_alone_is_left_out(typed: Typed) -> None:
    root = class_folders(typed.folder / "data")
    put(root / "photos" / "1.heic", b"x")
    said = typed(root)
    assert "left out by data.classes.keep: 'photos' (1 x .heic (HEIC is not read; convert it" in said
    assert typed.recipe.data.classes.keep == ["blue", "green"]
    make_plan(typed.recipe)


def test_a_class_of_one_sample_is_trained_on(typed: Typed) -> None:
    """Wherever its hash is: shares are kept in each class."""
    root = class_folders(typed.folder / "data")
    for i in range(5):
        put(root / f"lone{i}" / "1.jpg", jpeg(1, 99 + i))
    said = typed(root)
    assert "lone0 1+0, lone1 1+0" in said
    make_plan(typed.recipe)


def test_a_test_split_is_counted(typed: Typed) -> None:
    root = split_folders(typed.folder / "data")
    put(root / "test" / "blue" / "1.jpg", jpeg(0, 50))
    said = typed(root)
    assert "samples  16 train, 4 val, 1 test" in said
    assert "(train+val+test): blue 8+2+1, green 8+2+0" in said


@pytest.mark.slow
def test_run_takes_what_init_writes(make_project: Callable[..., Any]) -> None:
    project: Project = make_project("image")
    project.recipe = project.folder / "drafted.yaml"
    init(Terminal(), str(project.folder / "data"), project.recipe, False)
    assert "top-1" in project.run("train.duration=1ep")
