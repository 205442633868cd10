"""COCO's annotation files: which images there are, and what their masks are drawn of."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.values import Values
from pipeline.recipe.sources import CocoSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import Segmentation
from pipeline.sources.coco import digest, look
from pipeline.sources.listing import Listing, Masks
from pipeline.sources.splits import divide

TASK = Segmentation(kind="segmentation")
BOX = [0, 0, 2, 0, 2, 1, 0, 1]
RUNS = {"size": [3, 4], "counts": [4, 8]}


def content(images: dict[int, str], categories: dict[int, str], *annotations: tuple[int, int, Any]) -> dict[str, Any]:
    """As COCO has it: images of 4 x 3 px, and (image, category, segmentation)."""
    return {
        "images": [{"id": number, "file_name": name, "width": 4, "height": 3} for number, name in images.items()],
        "categories": [{"id": number, "name": name} for number, name in categories.items()],
        "annotations": [
            {"id": i, "image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0}
            for i, (image, category, segmentation) in enumerate(annotations)
        ],
    }


TRAIN = content({7: "a.jpg", 3: "sub/b.jpg"}, {18: "dog", 1: "person"}, (3, 1, [BOX]), (3, 18, RUNS), (3, 1, [BOX]))
VAL = content({1: "c.jpg"}, {1: "person", 2: "cat"}, (1, 2, [BOX]))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split, names in (("train", ("a.jpg", "sub/b.jpg", "more.jpg")), ("val", ("c.jpg",))):
        for name in names:
            path = tmp_path / f"{split}2017" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    write(tmp_path, TRAIN, "train")
    write(tmp_path, VAL, "val")
    return tmp_path


def write(root: Path, values: Any, split: str) -> None:
    (root / f"instances_{split}.json").write_text(json.dumps(values))


def source(root: Path, **more: Any) -> CocoSource:
    paths = {"path": str(root / "{split}2017"), "annotations": str(root / "instances_{split}.json")}
    return CocoSource(kind="coco", **{**paths, **more})


def listed(root: Path, **more: Any) -> Listing:
    return divide(look(source(root, **more), TASK, Split()), Split(val=0.5))


def test_images_with_their_outlines(root: Path) -> None:
    listing = listed(root)
    assert [(one.key, one.split, one.path) for one in listing.candidates] == [
        ("train/a.jpg", "train", str(root / "train2017/a.jpg")),
        ("train/sub/b.jpg", "train", str(root / "train2017/sub/b.jpg")),
        ("val/c.jpg", "val", str(root / "val2017/c.jpg")),
    ]
    assert [one.outlines for one in listing.candidates] == [
        {"size": [4, 3], "objects": []},
        {"size": [4, 3], "objects": [[2, [BOX]], [1, RUNS], [2, [BOX]]]},  # in the annotations' order
        {"size": [4, 3], "objects": [[3, [BOX]]]},
    ]
    assert listing.classes() == ["background", "dog", "person", "cat"]  # the file's order, and what val adds
    assert listing.others == {"not named by the annotations": 1}
    assert not listing.held_out_by_ratio


def test_what_is_no_object_may_be_ignored(root: Path) -> None:
    listing = listed(root, background=None)
    assert listing.masks == {"": Masks(("dog", "person", "cat"), Values({0: 255, 1: 0, 2: 1, 3: 2}))}


def test_annotations_of_test(root: Path) -> None:
    (root / "test2017").mkdir()
    (root / "test2017/d.jpg").touch()
    assert {one.split for one in listed(root).candidates} == {"train", "val"}
    before = digest(source(root))
    write(root, content({9: "d.jpg"}, {1: "person"}), "test")
    assert [one.key for one in listed(root).candidates if one.split == "test"] == ["test/d.jpg"]
    assert digest(source(root)) != before


def test_one_file_is_split_by_a_ratio(root: Path) -> None:
    images = {i: f"{i}.jpg" for i in range(20)}
    for name in images.values():
        (root / "train2017" / name).touch()
    write(root, content(images, {1: "person"}), "train")
    listing = listed(root, path=str(root / "train2017"), annotations=str(root / "instances_train.json"))
    assert listing.held_out_by_ratio
    assert {one.split for one in listing.candidates} == {"train", "val"}
    assert {one.key for one in listing.candidates} == set(images.values())


def test_an_image_that_is_not_there_is_refused(root: Path) -> None:
    (root / "train2017/a.jpg").unlink()
    listing = listed(root)
    assert listing.refused == {
        "train/a.jpg": f"instances_train.json names it, and there is no file {root}/train2017/a.jpg"
    }


def without(key: str, values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != key}


WRONG: list[tuple[Any, str]] = [
    ([], "has not the lists images, annotations, categories that COCO's annotations have."),
    (without("categories", TRAIN), "has not the lists images, annotations, categories that COCO's annotations have."),
    ({**TRAIN, "images": [3]}, "has something else than objects in its lists images, annotations, categories."),
    (
        content({1: "a.jpg"}, {1: "person"}, (1, 2, [BOX])),
        "has an annotation of the category 2, which it does not list.",
    ),
    (content({1: "a.jpg"}, {1: " "}), "has a category that names no class: its label is empty."),
    (content({1: "a.jpg", 2: "./a.jpg"}, {1: "person"}), "names the image a.jpg twice."),
    ({**TRAIN, "images": [{"id": 1, "file_name": "a.jpg"}]}, "has an image without file_name, width or height: id 1."),
    ({**TRAIN, "categories": [{"id": [1], "name": "x"}]}, "has an entry whose id is no number: '[1]'."),
    (
        {**TRAIN, "annotations": [{"id": 4, "image_id": 3, "category_id": 1, "bbox": [0, 0, 1, 1]}]},
        "has an annotation without a segmentation, id 4: boxes alone are no masks.",
    ),
]


@pytest.mark.parametrize(("values", "says"), WRONG)
def test_annotations_that_are_none(root: Path, values: Any, says: str) -> None:
    write(root, values, "train")
    with pytest.raises(ZoetropeError) as caught:
        listed(root)
    assert str(caught.value) == f"data.source.annotations: {root}/instances_train.json {says}"


def test_text_that_is_no_json_and_files_that_are_not_there(root: Path) -> None:
    (root / "instances_val.json").write_text("{")
    with pytest.raises(ZoetropeError, match=r"data.source.annotations: .*instances_val.json is no JSON\."):
        listed(root)
    (root / "instances_val.json").unlink()
    with pytest.raises(ZoetropeError, match=r"instances_val.json cannot be read: No such file"):
        listed(root)


def test_no_image_is_there(root: Path) -> None:
    write(root, content({1: "x.jpg"}, {1: "person"}), "train")
    write(root, content({}, {1: "person"}), "val")
    with pytest.raises(ZoetropeError, match=r"data.source.path: .* holds no image of the annotations: instances_train"):
        listed(root)


def test_a_split_in_the_path_alone(root: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"annotations: has no \{split\}, and data.source.path has"):
        listed(root, annotations=str(root / "instances_train.json"))


def test_the_digest_is_of_annotations_and_images(root: Path) -> None:
    seen = {digest(source(root))}
    (root / "train2017/a.jpg").write_bytes(b"changed")
    seen.add(digest(source(root)))
    write(root, {**VAL, "info": {}}, "val")
    seen.add(digest(source(root)))
    assert len(seen) == 3
    assert digest(source(root)) in seen
