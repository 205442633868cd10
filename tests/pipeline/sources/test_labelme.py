"""LabelMe: shapes that are objects, and those that are none."""

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.masks import encode_mask
from pipeline.decode.outlines import runs
from pipeline.recipe.object_sources import LabelmeSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import Detection
from pipeline.sources.labelme import digest, look, said_in
from pipeline.sources.listing import Listing
from tests.pipeline.sources.annotations import labelme, picture, shape, write


def listed(root: Path, **more: Any) -> Listing:
    source = LabelmeSource(kind="labelme", **{"path": str(root), **more})
    return look(source, Detection(kind="detection"), Split())


def objects(root: Path, *shapes: dict[str, Any]) -> Any:
    picture(root / "1.png")
    write(root / "1.json", labelme(*shapes))
    (one,) = listed(root).candidates
    return one.objects


def test_shapes(tmp_path: Path) -> None:
    assert objects(
        tmp_path,
        shape("dog", "rectangle", (20, 10), (10, 5)),  # corners in any order
        shape("dog", "polygon", (10, 5), (20, 5), (20, 10)),
        shape("cat", "circle", (15, 15), (18, 19)),
        shape("cat", "mask", (10, 5), (19, 9), mask="iVBOR"),  # pixels, the last one included
    ) == {
        "size": [100, 50],
        "boxes": [[10, 5, 20, 10], [10, 5, 20, 10], [10, 10, 20, 20], [10, 5, 20, 10]],
        "classes": ["dog", "dog", "cat", "cat"],
        "outlines": [None, [[10, 5, 20, 5, 20, 10]], None, None],
    }


def test_shapes_of_a_group_are_one_object(tmp_path: Path) -> None:
    left, right = ((0, 0), (4, 0), (4, 4)), ((10, 5), (20, 5), (20, 10))
    assert objects(
        tmp_path,
        shape("dog", "polygon", *left, group_id=1),
        shape("cat", "polygon", *left, group_id=1),
        shape("dog", "polygon", *right, group_id=1),
        shape("dog", "polygon", *right, group_id=None),
    ) == {
        "size": [100, 50],
        "boxes": [[0, 0, 20, 10], [0, 0, 4, 4], [10, 5, 20, 10]],
        "classes": ["dog", "cat", "dog"],
        "outlines": [
            [[0, 0, 4, 0, 4, 4], [10, 5, 20, 5, 20, 10]],
            [[0, 0, 4, 0, 4, 4]],
            [[10, 5, 20, 5, 20, 10]],
        ],
    }


def test_shapes_without_an_area_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    flat = [shape("dog", "point", (1, 1)), shape("dog", "line", (1, 1), (2, 2)), shape("dog", "point", (2, 2))]
    assert objects(tmp_path / "a", *flat) == {"size": [100, 50], "boxes": [], "classes": []}
    assert listed(tmp_path / "a").notes == ("shapes without an area are left out: 1 x line, 2 x point",)


def test_files_in_a_folder_of_their_own(tmp_path: Path) -> None:
    for split in ("train", "val"):
        picture(tmp_path / split / "images/1.png")
        picture(tmp_path / split / "images/bare.png")
        write(tmp_path / split / "json/1.json", labelme(shape("dog", "rectangle", (0, 0), (2, 2))))
    paths = {"path": str(tmp_path / "{split}/images"), "annotations": str(tmp_path / "{split}/json")}
    listing = listed(tmp_path, **paths)
    assert [(one.key, one.split) for one in listing.candidates] == [("train/1.png", "train"), ("val/1.png", "val")]
    assert listing.others == {"images without a JSON file": 2}
    before = digest(LabelmeSource(kind="labelme", **paths))
    write(tmp_path / "val/json/1.json", labelme())
    assert digest(LabelmeSource(kind="labelme", **paths)) != before
    with pytest.raises(ZoetropeError, match=r"annotations: has no \{split\}, and data\.source\.path has"):
        listed(tmp_path, **paths | {"annotations": str(tmp_path / "json")})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "its annotations are no JSON"),
        ("[]", "its annotations have no list `shapes`"),
        ('{"shapes": [1]}', "its annotations have no list `shapes`"),
        (labelme(shape("dog", "cube", (0, 0))), "its annotations have a shape 'cube'; known are rectangle, circle"),
        (labelme(shape("dog", "polygon", (0, 0), (1, 1))), "its annotations have a polygon of fewer than 3 points"),
        (
            labelme(shape("dog", "rectangle", (0, 0), (1,))),
            "its annotations have a rectangle whose points are no pairs",
        ),
        (labelme(shape("", "rectangle", (0, 0), (1, 1))), "its label is empty"),
        (labelme(shape("dog", "rectangle", (0, float("inf")), (1, 1))), "its annotations say 'inf' where a point"),
    ],
)
def test_json_that_is_refused(content: str, says: str, tmp_path: Path) -> None:
    for name, text in (("1", content), ("2", labelme(shape("dog", "rectangle", (0, 0), (2, 2))))):
        picture(tmp_path / f"{name}.png")
        write(tmp_path / f"{name}.json", text)
    write(tmp_path / "lone.json", labelme())
    refused = listed(tmp_path).refused
    assert refused.keys() == {"1.png", "lone.json"}
    assert refused["1.png"].startswith(says)


def test_a_mask_is_an_outline(tmp_path: Path) -> None:
    """A PNG in base64, as LabelMe writes it; what is none leaves the box."""
    bits = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    png = base64.b64encode(encode_mask(bits)).decode()
    said = [{"label": "cat", "shape_type": "mask", "points": [[4, 2], [6, 3]], "mask": one} for one in (png, "iVBOR")]
    content = json.dumps({"shapes": said, "imageWidth": 8, "imageHeight": 6}).encode()
    _, (whole, torn) = said_in(content, {}, Counter())
    assert (whole.box, torn.box, torn.outline) == ((4, 2, 7, 4), (4, 2, 7, 4), None)
    assert np.array_equal(runs(whole.outline, 8, 6)[2:4, 4:7], bits > 0)
    assert runs(whole.outline, 8, 6).sum() == 3
