"""Boxes as annotation files: the same object in each form, and none lost on the way back in."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.outlines import encode_runs, runs
from pipeline.exported.labels import check_labels, labelled
from pipeline.exported.predictions import Prediction
from pipeline.recipe import tasks
from pipeline.recipe.object_sources import CvatSource
from pipeline.recipe.split import Split
from pipeline.sources import cvat
from pipeline.sources.safe_xml import parse_xml
from pipeline.tasks.classification import Classification
from pipeline.tasks.detection import Detection
from tests.pipeline.sources.annotations import picture

CLASSES = ("cell", 'plate"let')
BOX: dict[str, Any] = {"boxes": [[10.0, 5.0, 20.0, 10.0]], "labels": ['plate"let'], "scores": [0.75]}
"""Of the pixel columns 10 to 19 and rows 5 to 9 of a picture of 100 x 50 px."""
FOUND = [
    Prediction("a/x.jpg", BOX, size=(50, 100)),
    Prediction("broken.jpg", error="is empty"),
    Prediction("y&z.jpg", {"boxes": [], "labels": [], "scores": []}, size=(20, 30)),
]


def written(path: Path) -> Path:
    assert list(labelled(path, FOUND, CLASSES)) == FOUND
    return path


def test_coco(tmp_path: Path) -> None:
    assert json.loads(written(tmp_path / "a.json").read_text()) == {
        "images": [
            {"id": 1, "file_name": "a/x.jpg", "width": 100, "height": 50},
            {"id": 2, "file_name": "y&z.jpg", "width": 30, "height": 20},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 2, "bbox": [10, 5, 10, 5], "area": 50, "iscrowd": 0, "score": 0.75}
        ],
        "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": 'plate"let'}],
    }


def test_cvat(tmp_path: Path) -> None:
    root = parse_xml(written(tmp_path / "a.xml").read_bytes())
    assert root.findtext("version") == "1.1"
    assert [image.attrib for image in root.iter("image")] == [
        {"id": "0", "name": "a/x.jpg", "width": "100", "height": "50"},
        {"id": "1", "name": "y&z.jpg", "width": "30", "height": "20"},
    ]
    (box,) = root.iter("box")
    assert box.attrib["label"] == 'plate"let'
    assert [float(box.attrib[edge]) for edge in ("xtl", "ytl", "xbr", "ybr")] == [10, 5, 20, 10]


def test_yolo(tmp_path: Path) -> None:
    folder = written(tmp_path / "labels")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "x.txt": "1 0.150000 0.150000 0.100000 0.100000\n",
        "y&z.txt": "",
        "classes.txt": 'cell\nplate"let\n',
    }


def test_masks_come_back_in_as_they_went_out(tmp_path: Path) -> None:
    """Of CVAT as run lengths of a box, of COCO as they are; an object without a pixel keeps its box."""
    bits = np.zeros((50, 100), np.bool_)
    bits[5:10, 10:20] = np.tri(5, 10, 5, dtype=np.bool_)
    said = {"masks": [json.dumps(encode_runs(one)) for one in (bits, np.zeros_like(bits))]}
    twice = {name: value * 2 for name, value in BOX.items()}
    found = [Prediction("x.png", {**twice, **said}, size=(50, 100))]
    list(labelled(tmp_path / "a.xml", found, CLASSES))
    list(labelled(tmp_path / "a.json", found, CLASSES))
    text = (tmp_path / "a.xml").read_text()
    assert 'rle="0, 6, 4, 7, 3, 8, 2, 9, 1, 10" left="10" top="5" width="10" height="5"' in text
    assert text.count("<box ") == text.count("<mask ") == 1
    picture(tmp_path / "images" / "x.png")
    paths = {"path": str(tmp_path / "images"), "annotations": str(tmp_path / "a.xml")}
    (one,) = cvat.look(CvatSource(kind="cvat", **paths), tasks.Detection(kind="detection"), Split()).candidates
    assert one.objects is not None
    np.testing.assert_array_equal(runs(one.objects["outlines"][0], 100, 50), bits)
    annotations = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert annotations[0]["segmentation"] == encode_runs(bits)


def test_two_files_of_one_name_are_no_two_text_files(tmp_path: Path) -> None:
    twice = [FOUND[0], Prediction("b/x.jpg", BOX, size=(50, 100))]
    with pytest.raises(ZoetropeError, match=r"a/x.jpg and b/x.jpg would both be x.txt"):
        list(labelled(tmp_path / "labels", twice, CLASSES))
    assert len(list(labelled(tmp_path / "a.json", twice, CLASSES))) == 2


def test_wrong_uses_are_told() -> None:
    check_labels(Path("labels"), Detection(CLASSES))
    with pytest.raises(ZoetropeError, match=r"--labels a.jsn: .*did you mean '.json'"):
        check_labels(Path("a.jsn"), Detection(CLASSES))
    with pytest.raises(ZoetropeError, match="are boxes, which this model does not answer"):
        check_labels(Path("a.json"), Classification(CLASSES))
