"""Tables with a row an object."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.recipe.sources import TableColumns, TableSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import Detection
from pipeline.sources.listing import Listing
from pipeline.sources.table import look
from tests.pipeline.sources.annotations import picture, write


def listed(root: Path, text: str, columns: dict[str, Any] | None = None, **more: Any) -> Listing:
    for name in ("1.png", "2.png", "3.png"):
        picture(root / name)
    path = str(write(root / "a.csv", text))
    source = TableSource(kind="table", path=path, columns=TableColumns(**columns or {}), **more)
    return look(source, Detection(kind="detection"), Split())


def objects(listing: Listing) -> dict[str, Any]:
    return {one.key: one.objects for one in listing.candidates}


def test_rows_of_a_picture_are_its_objects(tmp_path: Path) -> None:
    text = """filename,width,height,class,xmin,ymin,xmax,ymax,crowd
1.png,100,50,dog,10,5,20,10,0
2.png,100,50,cat,0,0,1,1,
./1.png,100,50,cat,1,2,3,4.5,2
3.png,100,50,,,,,,
"""
    listing = listed(tmp_path, text, {"path": "filename", "label": "class"})
    assert objects(listing) == {
        "1.png": {
            "size": [100, 50],
            "boxes": [[10, 5, 20, 10], [1, 2, 3, 4.5]],
            "classes": ["dog", "cat"],
            "crowd": [0, 2],
            "reading": "xyxy",
        },
        "2.png": {"size": [100, 50], "boxes": [[0, 0, 1, 1]], "classes": ["cat"], "reading": "xyxy"},
        "3.png": {"size": [100, 50], "boxes": [], "classes": [], "reading": "xyxy"},
    }
    assert {one.key: one.labels for one in listing.candidates}["1.png"] == ("cat", "dog")
    assert (listing.refused, listing.others) == ({}, {})


@pytest.mark.parametrize(
    ("columns", "row", "more"),
    [
        ("XMin,XMax,YMin,YMax", "0.1,0.2,0.1,0.2", {"relative": True}),
        ("x,y,width,height", "10,5,10,5", {"boxes": "xywh"}),
        ("x_center,y_center,width,height", "15,7.5,10,5", {"boxes": "centre"}),
        ("bbox", '"[10.0, 5, 10, 5]"', {"boxes": "xywh"}),
        ("bbox", '"10 5 20 10"', {}),
        ("a,b,c,d", "10,5,20,10", {"columns": {"box": ["a", "b", "c", "d"]}}),
        ("b", "10;5;20;10", {"columns": {"box": "b"}}),
    ],
)
def test_boxes_as_they_are_written(columns: str, row: str, more: dict[str, Any], tmp_path: Path) -> None:
    listing = listed(tmp_path, f"path,label,{columns}\n1.png,dog,{row}\n2.png,dog,{row}\n", **more)
    found = objects(listing)["1.png"]
    scale = [100, 50, 100, 50] if found.get("relative") else [1] * 4
    assert [number * by for number, by in zip(found["boxes"][0], scale, strict=True)] == [10, 5, 20, 10]
    assert "size" not in found


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("dog,a,1,2,3", "its annotations say 'a' where a number of its box stands"),
        (",1,1,2,3", "its label is empty"),
        ("dog,,,,", "it has a label, and its box is empty"),
        ("eel,1,1,2,3", "an object of it is of a class that data.source.classes does not list: unknown class 'eel'"),
    ],
)
def test_a_bad_row_refuses_its_picture(row: str, why: str, tmp_path: Path) -> None:
    """Else an object that is there would be learned as none."""
    good = "dog,10,5,20,10"
    text = f"path,label,x0,y0,x1,y1\n1.png,{good}\n1.png,{row}\n2.png,{good}\n./1.png,{good}\n"
    listing = listed(tmp_path, text, classes=["dog", "cat"])
    assert [*objects(listing)] == ["2.png"]
    assert listing.refused.keys() == {"row 1", "row 2", "row 4"}
    assert listing.refused["row 2"].startswith(why)
    assert listing.refused["row 1"] == listing.refused["row 4"] == "row 2 of the same picture is refused"
    assert listing.classes() == ["dog", "cat"]


def test_sizes_that_contradict_each_other(tmp_path: Path) -> None:
    text = "path,label,x0,y0,x1,y1,width,height\n1.png,a,1,1,2,2,9,9\n1.png,a,1,1,2,2,9,8\n2.png,a,1,1,2,2,9,9\n"
    assert listed(tmp_path, text).refused["row 1"] == "1.png has several sizes: (9, 9) (row 1), (9, 8) (row 2)"


@pytest.mark.parametrize(
    ("text", "more", "says"),
    [
        ("path,label\n1.png,a\n", {}, "none of them are called as boxes of xyxy are. Name the four of them"),
        (
            "path,label,cx,cy,w,h\n1.png,a,1,1,1,1\n",
            {},
            "or set data.source.boxes=centre, as its columns cx cy w h seem",
        ),
        ("path,label,x\n1.png,a,1\n", {"columns": {"box": "y"}}, "has no such column: unknown column 'y'"),
        ("path,label,box\n1.png,a,1\n", {"classes": {0: "a"}}, "of boxes it is a list of names, or a file"),
        ("path,label,box\n1.png,a,1 2 3\n", {}, "its box \"['1', '2', '3']\" is not four numbers"),
        ("path,label,box\n1.png,a,1 2 3 4\n", {"relative": True}, "its box has 4, which is no share of the picture"),
        ("path,label,box,crowd\n1.png,a,1 2 3 4,7\n", {}, "its crowd is 7, and may be 0, 1 or 2"),
    ],
)
def test_tables_that_are_refused(text: str, more: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError) as caught:
        listed(tmp_path, text, **more)
    assert says in str(caught.value)
