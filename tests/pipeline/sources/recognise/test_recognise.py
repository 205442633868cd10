"""What a folder is taken for: layouts by names, an example a source, and what is none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.sources import SOURCES
from pipeline.sources.recognise import RECOGNISERS, Guess, recognise, tree_of

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes files in a folder: names, or names with their text."""

    def make(*names: str, **texts: str) -> Path:
        for name, text in {**dict.fromkeys(names, "x"), **texts}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return make


def guessed(root: Path) -> tuple[str, dict[str, Any]]:
    """The task and the source, whose paths are relative to `root`."""
    guess = recognise(tree_of(root))
    return guess.task, {key: _below(value, root) for key, value in guess.source.items()}


def _below(value: Any, root: Path) -> Any:
    if isinstance(value, list):
        return [_below(one, root) for one in value]
    text = str(value)
    return text.removeprefix(str(root)).removeprefix("/") or "." if text.startswith(str(root)) else value


def test_every_recogniser_is_of_a_source() -> None:
    assert RECOGNISERS.keys() <= SOURCES.keys() | {"webdataset"}


def test_key_points_bring_their_body(make: Make) -> None:
    root = make("lsp/images/im0001.jpg", "lsp/images/im2000.jpg", "lsp/joints.mat")
    guess = recognise(tree_of(root))
    assert guessed(root) == (
        "keypoints",
        {"kind": "lsp", "path": "lsp/images", "annotations": "lsp/joints.mat", "official": True},
    )
    assert guess.options == {"body": "lsp14", "persons": "one"}
    (root / "lsp/images/im0001.jpg").unlink()
    assert "official" not in guessed(root)[1]


@pytest.mark.parametrize(
    ("names", "annotations"),
    [
        (
            ["mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat"],
            "mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat",
        ),
        (["annot/train.json", "annot/valid.json"], "annot/{split}.json"),
        (["annot/train.json"], "annot/train.json"),
        (["persons.json"], "persons.json"),
    ],
)
def test_mpii_by_its_own_file_or_persons_in_json(make: Make, names: list[str], annotations: str) -> None:
    root = make("images/015601864.jpg", "images/015599452.jpg", **dict.fromkeys(names, '[{"joints_vis": [1]}]'))
    source = {"kind": "mpii", "path": "images", "annotations": annotations}
    assert guessed(root) == ("keypoints", source)
    assert recognise(tree_of(root)).options == {"body": "mpii16"}


FOLDER = {"kind": "folder", "path": "."}


@pytest.mark.parametrize(
    ("names", "task", "source"),
    [
        (["rose/1.jpg", "tulip/2.JPG", "notes.txt"], "image-classification", FOLDER),
        (["train/rose/1.jpg", "val/rose/2.jpg", "train/tulip/1.jpg"], "image-classification", FOLDER),
        (["run/1.mp4", "sit/2.avi", "sit/thumb.jpg"], "video-classification", FOLDER),
        (
            ["flowers/rose/1.jpg", "flowers/tulip/2.jpg", "readme.md"],
            "image-classification",
            {"kind": "folder", "path": "flowers"},
        ),
        (["rose/garden/1.jpg", "tulip/field/2.jpg"], "image-classification", FOLDER),
        (
            [f"run/v{i}/img_{n:05}.jpg" for i in range(3) for n in range(1, 6)],
            "video-classification",
            {"kind": "frames", "path": ".", "fps": 25, "pattern": "img_*"},
        ),
        (
            [f"{split}/run/v{i}/{n}.png" for split in ("train", "val") for i in range(2) for n in range(0, 40, 10)],
            "video-classification",
            {"kind": "frames", "path": ".", "fps": 25},
        ),
        (
            ["images/1.jpg", "images/2.jpg", "masks/1.png", "masks/2.png"],
            "segmentation",
            {"kind": "images", "path": "images", "masks": "masks"},
        ),
        (
            [
                f"{s}/{f}"
                for s in ("train", "val")
                for f in ("images/1.jpg", "images/2.jpg", "masks/1.png", "masks/2.png")
            ],
            "segmentation",
            {"kind": "images", "path": "{split}/images", "masks": "{split}/masks"},
        ),
        (
            [
                f"{f}/{s}/{i}.{e}"
                for f, e in (("images", "jpg"), ("labels", "png"))
                for s in ("train", "val")
                for i in "12"
            ],
            "segmentation",
            {"kind": "images", "path": "images/{split}", "masks": "labels/{split}"},
        ),
        (
            [f"{s}{f}/{i}.png" for s in ("train", "val") for f in ("", "annot") for i in "12"],
            "segmentation",
            {"kind": "images", "path": "{split}", "masks": "{split}annot"},
        ),
        (
            [
                *(f"leftImg8bit/{s}/bonn/b_{i}_leftImg8bit.png" for s in ("train", "val") for i in "123"),
                *(f"gtFine/{s}/bonn/b_{i}_gtFine_labelIds.png" for s in ("train", "val") for i in "123"),
            ],
            "segmentation",
            {
                "kind": "images",
                "path": "leftImg8bit/{split}",
                "masks": "gtFine/{split}",
                "image_suffix": "_leftImg8bit",
                "mask_suffix": "_gtFine_labelIds",
            },
        ),
        (
            ["images/a.jpg", "images/b.jpg", "instances/a.png", "instances/b.png"],
            "segmentation",
            {"kind": "images", "path": "images", "instances": "instances"},
        ),
        (
            ["a.jpg", "a.png", "b.jpg", "b.png", "c.jpg"],
            "segmentation",
            {"kind": "images", "path": ".", "masks": "."},
        ),
        (
            ["a.png", "a_mask.png", "b.png", "b_mask.png", "b_mask_1.png"],
            "segmentation",
            {"kind": "images", "path": ".", "masks": ".", "mask_suffix": "_mask"},
        ),
        (
            [f"{s}/{i}{e}" for s in ("train", "val") for i in "12" for e in ("_rgb.jpg", "_rgb_gt_seg.png")],
            "segmentation",
            {"kind": "images", "path": "{split}", "masks": "{split}", "mask_suffix": "_gt_seg"},
        ),
        (
            ["cell/a.jpg", "cell/a-instances.png", "gland/b.jpg", "gland/b-instances.png"],
            "segmentation",
            {"kind": "images", "path": ".", "instances": ".", "instance_suffix": "-instances"},
        ),
        (["1.jpg", "2.png", "readme.md"], "restoration", {"kind": "images", "path": "."}),
        (["train/1.jpg", "valid/2.jpg"], "restoration", {"kind": "images", "path": "{split}"}),
        (["train/1.jpg", "train/2.jpg"], "restoration", {"kind": "images", "path": "."}),
        # A few pictures that are there twice are no masks.
        (["rose/1.jpg", "rose/1.png", "rose/2.jpg", "rose/3.jpg", "tulip/1_seg.jpg"], "image-classification", FOLDER),
    ],
)
def test_layouts_of_files(make: Make, names: list[str], task: str, source: dict[str, Any]) -> None:
    root = make(*names)
    assert guessed(root) == (task, source)


def coco(*names: str, outlined: bool = True) -> str:
    images = [{"id": i, "file_name": name, "width": 4, "height": 4} for i, name in enumerate(names)]
    box: dict[str, Any] = {"id": 0, "image_id": 0, "category_id": 1, "bbox": [0, 0, 2, 2]}
    shape = {"segmentation": [[0, 0, 2, 0, 2, 2]]} if outlined else {}
    return json.dumps({"images": images, "annotations": [box | shape], "categories": [{"id": 1, "name": "cat"}]})


def test_annotations_of_coco(make: Make) -> None:
    texts = {f"annotations/instances_{split}2017.json": coco("1.jpg") for split in ("train", "val")}
    root = make("images/train2017/1.jpg", "images/val2017/1.jpg", **texts)
    task, source = guessed(root)
    assert task == "segmentation"
    assert source == {
        "kind": "coco",
        "path": "images/{split}2017",
        "annotations": "annotations/instances_{split}2017.json",
    }


def test_one_file_of_annotations(make: Make) -> None:
    root = make("pictures/a/1.jpg", **{"all.json": coco("a/1.jpg"), "other.json": '{"images": 3}'})
    assert guessed(root)[1] == {"kind": "coco", "path": "pictures", "annotations": "all.json"}


def test_boxes_of_coco(make: Make) -> None:
    root = make("images/1.jpg", **{"boxes.json": coco("1.jpg", outlined=False)})
    assert guessed(root) == ("detection", {"kind": "coco", "path": "images", "annotations": "boxes.json"})
    (root / "masks").mkdir()
    (root / "masks/1.png").touch()
    assert guessed(root)[0] == "segmentation"  # masks say more


VOC, CVAT = "<annotation><object/></annotation>", "<annotations><version>1.1</version></annotations>"
LABELME, BOX = '{"version": "5.0", "shapes": []}', "0 0.5 0.5 0.1 0.1\n"


@pytest.mark.parametrize(
    ("names", "texts", "source"),
    [
        (
            ["JPEGImages/1.jpg", "JPEGImages/2.jpg"],
            {
                "Annotations/1.xml": VOC,
                "Annotations/2.xml": VOC,
                "ImageSets/Main/train.txt": "1",
                "ImageSets/Main/val.txt": "2",
                "train.txt": "1",
            },
            {"kind": "voc", "path": "JPEGImages", "annotations": "Annotations", "sets": "ImageSets/Main/{split}.txt"},
        ),
        (
            ["train/1.jpg", "valid/2.jpg"],
            {"train/1.xml": VOC, "valid/2.xml": VOC},
            {"kind": "voc", "path": "{split}", "annotations": "{split}"},
        ),
        (
            ["images/train/1.jpg", "images/val/2.jpg"],
            {"labels/train/1.txt": BOX, "data.yaml": "train: images/train\nval: images/val\nnames: [dog]\n"},
            {"kind": "yolo", "path": "data.yaml"},
        ),
        (
            ["images/train/1.jpg", "images/val/2.jpg"],
            {"labels/train/1.txt": BOX * 2, "labels/val/2.txt": f"{BOX}\n\n{BOX}", "classes.txt": "dog\n"},
            {"kind": "yolo", "path": "images/{split}", "labels": "labels/{split}", "classes": "classes.txt"},
        ),
        (["1.jpg", "2.jpg"], {"1.json": LABELME, "2.json": LABELME}, {"kind": "labelme", "path": "."}),
        (
            ["a/1.jpg", "a/2.jpg"],
            {"b/1.json": LABELME, "b/2.json": LABELME},
            {"kind": "labelme", "path": "a", "annotations": "b"},
        ),
        (
            ["images/a/1.jpg", "images/b/2.jpg"],
            {"annotations.xml": CVAT},
            {"kind": "cvat", "path": "images", "annotations": "annotations.xml"},
        ),
    ],
)
def test_layouts_of_objects(make: Make, names: list[str], texts: dict[str, str], source: dict[str, Any]) -> None:
    assert guessed(make(*names, **texts)) == ("detection", source)


def test_text_files_of_yolo_without_names(make: Make) -> None:
    root = make("a/1.jpg", "a/2.jpg", **{"a/1.txt": BOX, "a/2.txt": BOX})
    with pytest.raises(
        ZoetropeError, match=r"a has YOLO's text files, whose classes are numbers, and nothing names them"
    ):
        recognise(tree_of(root))


def test_several_data_sets_are_no_classes(make: Make) -> None:
    root = make("digits/train/0/1.jpg", "roads/images/1.jpg", "roads/masks/1.png", "cats/tabby/1.jpg")
    with pytest.raises(ZoetropeError) as error:
        recognise(tree_of(root))
    assert str(error.value) == (
        f"{root} holds data sets and no classes: digits/, roads/. Look at one of them: python -m pipeline init "
        f"{root}/digits"
    )


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([], "holds no file. Known are:"),
        (["1.mp4", "2.mp4", "a.txt"], "holds 2 x .mp4, 1 x .txt, in no order that is known. Known are:"),
    ],
)
def test_what_no_source_knows(make: Make, names: list[str], says: str) -> None:
    with pytest.raises(ZoetropeError) as error:
        recognise(tree_of(make(*names)))
    assert says in str(error.value)
    assert "labels.csv" in str(error.value)


def test_the_only_folder_is_said(make: Make) -> None:
    guess: Guess = recognise(tree_of(make("a/b/rose/1.jpg", "a/b/tulip/2.jpg")))
    assert guess.notes == ("the classes lie in a/b/, the only folder there",)
