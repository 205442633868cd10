"""COCO's boxes: ids that repeat, categories with gaps, crowds, and images that nobody lists."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.objects import CROWD, DIFFICULT, PLAIN
from pipeline.recipe.schema import Classes
from pipeline.recipe.sources import CocoSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import Detection
from pipeline.sources.classes import resolve_classes
from pipeline.sources.coco import look
from pipeline.sources.listing import Listing
from tests.pipeline.sources.annotations import coco, picture

RUNS = {"size": [50, 100], "counts": [4, 4996]}
NAMES = {18: "dog", 1: "person", 90: "toothbrush"}


def listed(root: Path, content: Any) -> Listing:
    for name in ("1.png", "2.png"):
        picture(root / "images" / name)
    (root / "a.json").write_text(json.dumps(content))
    source = CocoSource(kind="coco", path=str(root / "images"), annotations=str(root / "a.json"))
    return look(source, Detection(kind="detection"), Split())


def one(image: int, category: int, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": [10, 5, 10, 5], **more}


def test_objects_with_all_that_is_said_of_them(tmp_path: Path) -> None:
    polygon = [[10, 5, 20, 5, 20, 10]]
    listing = listed(
        tmp_path,
        coco(
            {7: "1.png", 3: "./2.png"},
            NAMES,
            one(7, 18, area=40, segmentation=polygon, keypoints=[1, 2, 2], num_keypoints=1),
            one(7, 1, iscrowd=1, segmentation=RUNS),
            one(7, 1, ignore=1, segmentation=[]),
        ),
    )
    first, second = listing.candidates
    assert first.objects == {
        "size": [100, 50],
        "boxes": [[10, 5, 20, 10]] * 3,
        "classes": ["dog", "person", "person"],
        "crowd": [PLAIN, CROWD, DIFFICULT],
        "areas": [40, 50, 50],
        "outlines": [polygon, RUNS, None],
        "keypoints": [[1, 2, 2], None, None],
        "reading": "xywh",
    }
    assert second.objects == {"size": [100, 50], "boxes": [], "classes": [], "reading": "xywh"}
    assert listing.classes() == ["person", "dog", "toothbrush"]  # by their ids, and also what nothing is of
    assert listing.notes == ()


def test_classes_that_a_recipe_changes(tmp_path: Path) -> None:
    listing = listed(tmp_path, coco({7: "1.png", 3: "2.png"}, NAMES, one(7, 18), one(7, 1), one(3, 18)))
    changed = resolve_classes(listing, Classes(rename={"person": "human"}, keep=["human", "toothbrush"]), True)
    assert changed.classes() == ["human", "toothbrush"]
    assert [(c.labels, c.objects and c.objects["classes"]) for c in changed.candidates] == [
        (("human",), ["human"]),
        ((), []),
    ]


def test_annotations_of_images_that_are_not_listed(tmp_path: Path) -> None:
    listing = listed(tmp_path, coco({7: "1.png"}, NAMES, one(7, 18), one(8, 18), one(9, 1)))
    assert listing.notes == (
        f"{tmp_path}/a.json: 2 of 3 annotations are of images that it does not list, such as image_id 8: they are left "
        "out",
    )
    with pytest.raises(ZoetropeError, match="2 of 2 annotations are of images that it does not list, such as image_id"):
        listed(tmp_path, coco({7: "1.png"}, NAMES, one(8, 18), one(9, 1)))


def test_ids_of_annotations_that_restart(tmp_path: Path) -> None:
    listing = listed(tmp_path, coco({7: "1.png"}, NAMES, one(7, 18, id=0), one(7, 18, id=1), one(7, 1, id=0)))
    assert listing.candidates[0].objects is not None
    assert len(listing.candidates[0].objects["boxes"]) == 3
    assert listing.notes == (
        f"{tmp_path}/a.json: 1 annotations have an id that another one has, such as 0; all of them count here, and "
        "pycocotools keeps the last one of an id",
    )


def test_boxes_that_are_no_boxes_refuse_their_picture(tmp_path: Path) -> None:
    content = coco({7: "1.png", 3: "2.png"}, NAMES, one(7, 18, bbox=[1, 2, 3]), one(3, 1))
    assert listed(tmp_path, content).refused == {
        "1.png": "its annotation 1: its bbox is no list of x, y, width and height"
    }
    content["annotations"][0]["bbox"] = [1, 2, None, 3]
    assert listed(tmp_path, content).refused == {
        "1.png": "its annotation 1: its annotations say 'None' where a number of bbox stands, which is no number"
    }


def test_an_image_of_train_and_of_val(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / f"{split}.json").write_text(json.dumps(coco({7: "1.png"}, NAMES)))
    picture(tmp_path / "images/1.png")
    picture(tmp_path / "images/more.png")
    paths = {"path": str(tmp_path / "images"), "annotations": str(tmp_path / "{split}.json")}
    source = CocoSource(kind="coco", **paths)
    with pytest.raises(
        ZoetropeError, match=r"the image 1\.png is named for train and for val: name it for one of them"
    ):
        look(source, Detection(kind="detection"), Split())
    picture(tmp_path / "images/2.png")
    (tmp_path / "val.json").write_text(json.dumps(coco({7: "2.png"}, NAMES)))
    listing = look(source, Detection(kind="detection"), Split())
    assert [(one.key, one.split) for one in listing.candidates] == [("train/1.png", "train"), ("val/2.png", "val")]
    assert listing.others == {"not named by the annotations": 1}


def two_ids() -> Any:
    content = coco({7: "1.png"}, NAMES)
    return {**content, "images": [*content["images"], {**content["images"][0], "file_name": "2.png"}]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (two_ids(), "has two images with the id 7, 1.png and 2.png, so nobody knows whose the annotations are. Were"),
        (coco({7: "1.png", 8: "1.png"}, NAMES), "names the image 1.png twice"),
        (coco({7: "1.png"}, NAMES, one(7, 2)), "of the category 2, which it does not list; it lists 1, 18, 90"),
        (
            {**coco({7: "1.png"}, {}), "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]},
            "has two categories with the id 1: 'a' and 'b'",
        ),
    ],
)
def test_files_that_are_refused(content: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError) as caught:
        listed(tmp_path, content)
    assert says in str(caught.value)
