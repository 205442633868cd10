"""One object, as each format writes it, is one box here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from pipeline.recipe.sources import Source
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import Detection
from pipeline.sources import files_of
from pipeline.sources.listing import Listing
from pipeline.sources.things import settled
from tests.pipeline.sources.annotations import BOX, SIZE, coco, cvat, labelme, picture, shape, voc, write

TASK = Detection(kind="detection")


def looked(values: dict[str, Any]) -> Listing:
    source: Any = TypeAdapter(Source).validate_python(values)
    listing = files_of(source).look(source, TASK, Split(val=0.5))
    assert files_of(source).digest(source) == files_of(source).digest(source)
    return listing


def _voc(root: Path) -> dict[str, Any]:
    write(root / "xml/1.xml", voc(("dog", 11, 6, 20, 10)))
    return {"kind": "voc", "annotations": str(root / "xml")}


def _labelimg(root: Path) -> dict[str, Any]:
    write(root / "xml/1.xml", voc(("dog", 10, 5, 20, 10), database="Unknown"))
    return {"kind": "voc", "annotations": str(root / "xml")}


def _coco(root: Path) -> dict[str, Any]:
    box = {"image_id": 7, "category_id": 3, "bbox": [10, 5, 10, 5]}
    write(root / "a.json", json.dumps(coco({7: "1.png"}, {3: "dog"}, box)))
    return {"kind": "coco", "annotations": str(root / "a.json")}


def _yolo(root: Path) -> dict[str, Any]:
    write(root / "labels/1.txt", "0 .15 .15 .1 .1\n")
    return {"kind": "yolo", "classes": ["dog"]}


def _labelme(root: Path) -> dict[str, Any]:
    write(root / "images/1.json", labelme(shape("dog", "rectangle", (20, 5), (10, 10))))
    return {"kind": "labelme"}


def _cvat(root: Path) -> dict[str, Any]:
    box = '<box label="dog" xtl="10.00" ytl="5.00" xbr="20.00" ybr="10.00" occluded="0"/>'
    write(root / "a.xml", cvat(f'<image id="0" name="1.png" width="100" height="50">{box}</image>', labels=("dog",)))
    return {"kind": "cvat", "annotations": str(root / "a.xml")}


def _table(root: Path) -> dict[str, Any]:
    path = write(root / "a.csv", "path,label,xmin,ymin,xmax,ymax\nimages/1.png,dog,10,5,20,10\n")
    return {"kind": "table", "path": str(path)}


@pytest.mark.parametrize("written", [_voc, _labelimg, _coco, _yolo, _labelme, _cvat, _table])
def test_one_box(written: Callable[[Path], dict[str, Any]], tmp_path: Path) -> None:
    picture(tmp_path / "images/1.png")
    listing = looked({"path": str(tmp_path / "images"), **written(tmp_path)})
    (one,) = listing.candidates
    assert (one.labels, listing.held_out_by_ratio, dict(listing.refused)) == (("dog",), True, {})
    assert listing.classes() == ["dog"]
    assert one.objects is not None
    made = settled(one.objects, *SIZE)
    assert made.objects == {"size": [100, 50], "boxes": [BOX], "classes": ["dog"]}
    assert made.dropped == {}
    assert listing.others == {}
