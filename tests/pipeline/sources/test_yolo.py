"""YOLO: lines of shares, files that lack, and YAML files as they are found in the wild."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import BadSample
from pipeline.recipe.object_sources import YoloSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import Detection
from pipeline.sources.listing import Listing
from pipeline.sources.things import settled
from pipeline.sources.yolo import digest, look, said_in
from tests.pipeline.sources.annotations import SIZE, picture, write

NAMES = ["dog", "cat"]
LINE = "1 .15 .15 .1 .1\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        for name in ("1.jpg", "2.png"):
            picture(tmp_path / "images" / split / name)
        write(tmp_path / "labels" / split / "1.txt", LINE)
    return tmp_path


def source(path: Path, **more: Any) -> YoloSource:
    return YoloSource(kind="yolo", path=str(path), **more)


def listed(path: Path, **more: Any) -> Listing:
    return look(source(path, **more), Detection(kind="detection"), Split())


def keys(listing: Listing) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {one.key: (one.split, one.labels) for one in listing.candidates}


def test_folders(root: Path) -> None:
    write(root / "labels/val/lone.txt", LINE)
    listing = listed(root / "images/{split}", classes=NAMES)
    assert keys(listing) == {
        "train/1.jpg": ("train", ("cat",)),
        "train/2.png": ("train", ()),
        "val/1.jpg": ("val", ("cat",)),
        "val/2.png": ("val", ()),
    }
    assert listing.classes() == NAMES  # dog, too, of which there is none
    assert listing.notes == ("2 of 4 images have no text file: they show no object",)
    assert listing.others == {"text files of no image": 1}


def test_labels_elsewhere_and_beside_with_their_classes(root: Path) -> None:
    (root / "labels").rename(root / "txt")
    listing = listed(root / "images/{split}", labels=str(root / "txt/{split}"), classes=NAMES)
    assert keys(listing)["val/1.jpg"] == ("val", ("cat",))
    for name, content in (("a.txt", LINE), ("classes.txt", "dog\ncat\n")):
        write(root / "flat" / name, content)
    picture(root / "flat/a.jpg")
    listing = listed(root / "flat")
    assert (keys(listing), listing.classes(), listing.others) == ({"a.jpg": ("", ("cat",))}, NAMES, {})
    assert listing.held_out_by_ratio
    with pytest.raises(
        ZoetropeError, match=r"data\.source\.labels: none of 4 images has a text file, such as .*/1\.txt"
    ):
        listed(root / "images/{split}", classes=NAMES)
    with pytest.raises(ZoetropeError, match=r"data\.source\.classes: is not set, and YOLO's files have numbers"):
        listed(root / "images/{split}")


@pytest.mark.parametrize("names", ["[dog, cat]", "{0: dog, 1: cat}"])
@pytest.mark.parametrize(
    ("paths", "at"),
    [
        ("path: .\ntrain: images/train\nval: images/val", "data.yaml"),
        ("path: ../datasets/gone\ntrain: images/train\nval: images/val", "data.yaml"),
        ("train: ../images/train\nval: ../images/val", "data.yaml"),  # as Roboflow writes, where it lies in the folder
        ("path: ..\ntrain: images/train\nval: [images/val]", "yaml/data.yaml"),
        ("train: train.txt\nval: val.txt", "data.yaml"),
    ],
)
def test_yaml_files(names: str, paths: str, at: str, root: Path) -> None:
    write(root / "train.txt", "./images/train/1.jpg\n./images/train/2.png\n")
    write(root / "val.txt", f"{root}/images/val/1.jpg\nimages/val/2.png\n")
    path = write(root / at, f"{paths}\nnc: 2\nnames: {names}\n")
    listing = listed(path)
    assert keys(listing) == {
        "images/train/1.jpg": ("train", ("cat",)),
        "images/train/2.png": ("train", ()),
        "images/val/1.jpg": ("val", ("cat",)),
        "images/val/2.png": ("val", ()),
    }
    assert listing.classes() == NAMES
    assert not listing.held_out_by_ratio
    before = digest(source(path))
    write(root / "labels/val/2.txt", LINE)
    assert digest(source(path)) != before


@pytest.mark.parametrize(
    ("val", "note"),
    [
        ("images/valid", "data.yaml has val: images/valid, which is not there: data.split holds out of train"),
        ("images/train", "data.yaml has the same images for train and for val: data.split holds out of train"),
    ],
)
def test_a_yaml_file_without_a_val_of_its_own(val: str, note: str, root: Path) -> None:
    listing = listed(write(root / "data.yaml", f"train: images/train\nval: {val}\nnames: [dog, cat]\n"))
    assert {one.split for one in listing.candidates} == {""}
    assert listing.held_out_by_ratio
    assert listing.notes[0] == note


def test_an_image_of_train_and_of_val(root: Path) -> None:
    write(root / "val.txt", "images/val/1.jpg\nimages/train/1.jpg\n")
    path = write(root / "data.yaml", "train: images/train\nval: val.txt\nnames: [dog, cat]\n")
    with pytest.raises(ZoetropeError, match=r"images/train/1\.jpg is named for train and for val: name it for one of"):
        listed(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("train: images/train\nval: images/val\n", "has no names"),
        ("train: images/train\nnames: {1: dog, 2: cat}\n", "has no names: a list, or a mapping of 0, 1, ... to names"),
        ("train: images/gone\nnames: [a]\n", "has train: images/gone, which is not below"),
        ("names: [a]\n", "has no train"),
        ("- a\n", "has no keys such as train"),
        ("a: &b 1\nc: *b\n", "cannot be read: aliases"),
        ("train: images/train\nnames: [a]\nkpt_shape: [17, 3]\n", "has key points"),
    ],
)
def test_yaml_files_that_are_refused(content: str, says: str, root: Path) -> None:
    with pytest.raises(ZoetropeError) as caught:
        listed(write(root / "data.yaml", content))
    assert says in str(caught.value)


def test_boxes_and_polygons_become_px(root: Path) -> None:
    write(root / "labels/train/1.txt", f"{LINE}0 .1 .1 .2 .1 .2 .2\n\n{LINE}")
    listing = listed(root / "images/train", classes=NAMES)
    (one,) = [one for one in listing.candidates if one.labels]
    assert one.objects is not None
    made = settled(one.objects, *SIZE)
    assert made.objects == {
        "size": [100, 50],
        "boxes": [[10, 5, 20, 10], [10, 5, 20, 10]],
        "classes": ["cat", "dog"],
        "outlines": [None, [[10, 5, 20, 5, 20, 10]]],
    }
    assert "1 lines say the same object of a picture again: they count once" in listing.notes


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "0 320 240 64 48",
            "line 2 of its annotations: 320 is no share of the picture, from 0 to 1. Are these pixels?",
        ),
        ("0 1.01 .5 .1 .1", "line 2 of its annotations: 1.01 is no share of the picture, from 0 to 1"),
        ("0 .5 .5 .1 -.1", "line 2 of its annotations: -0.1 is no share of the picture, from 0 to 1"),
        ("2 .5 .5 .1 .1", "line 2 of its annotations: its class is 2, and the 2 names have 0 to 1. Are the classes "),
        ("46 .5 .5 .1 .1", "line 2 of its annotations: its class is 46, and the 2 names have 0 to 1"),
        ("0.5 .5 .5 .1 .1", "line 2 of its annotations: a class is a whole number from 0, and 0.5 is none"),
        ("dog .5 .5 .1 .1", "line 2 of its annotations: its annotations say 'dog' where a number stands"),
        ("0 .5 .5 .1", "line 2 of its annotations: it has 4 columns; a box has 5"),
        ("0 .5 .5 .1 .1 .9", "line 2 of its annotations: it has 6 columns; a box has 5"),
    ],
)
def test_lines_that_are_refused(line: str, says: str) -> None:
    with pytest.raises(BadSample) as caught:
        said_in(f"{LINE}{line}\n".encode(), NAMES)
    assert caught.value.reason.startswith(says)


def test_a_bad_line_refuses_its_picture_alone(root: Path) -> None:
    write(root / "labels/train/2.txt", "0 2 2 2 2\n")
    listing = listed(root / "images/{split}", classes=NAMES)
    assert [*listing.refused] == ["train/2.png"]
    assert len(listing.candidates) == 3
