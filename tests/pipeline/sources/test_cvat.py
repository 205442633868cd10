"""CVAT: images, and tracks of a video with what lies between their key frames."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.outlines import encode_runs, runs
from pipeline.recipe.object_sources import CvatSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import Detection
from pipeline.sources.cvat import digest, look
from pipeline.sources.listing import Listing
from tests.pipeline.sources.annotations import cvat, picture, write

META = (
    "<size>6</size><start_frame>2</start_frame><stop_frame>7</stop_frame>"
    "<original_size><width>100</width><height>50</height></original_size>"
)


def image(name: str, *shapes: str) -> str:
    return f'<image id="0" name="{name}" width="100" height="50">{"".join(shapes)}</image>'


def box(x0: float, y0: float, x1: float, y1: float, **more: Any) -> str:
    given = "".join(f' {key}="{value}"' for key, value in more.items())
    return f'<box xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}"{given}><attribute name="age">1</attribute></box>'


def listed(root: Path, *inside: str, **more: Any) -> Listing:
    write(root / "a.xml", cvat(*inside, **more))
    source = CvatSource(kind="cvat", path=str(root / "images"), annotations=str(root / "a.xml"))
    return look(source, Detection(kind="detection"), Split())


def test_shapes_of_images(tmp_path: Path) -> None:
    for name in ("1.png", "sub/2.png", "more.png"):
        picture(tmp_path / "images" / name)
    shapes = [
        box(10, 5, 20, 10, label="dog", occluded=1),
        '<polygon label="cat" points="10.00,5.00;20.00,5.00;20.00,10.00"/>',
        '<mask label="cat" rle="0, 50" left="10" top="5" width="10" height="5"/>',
        '<ellipse label="cat" cx="15" cy="10" rx="5" ry="2"/>',
        box(10, 10, 30, 20, label="dog", rotation=90),
        '<polyline label="cat" points="1,1;2,2"/>',
        '<tag label="cat"/>',
    ]
    listing = listed(tmp_path, image("1.png", *shapes), image(r"sub\2.png"), image("gone.png"))
    first, second = listing.candidates
    whole = np.zeros((50, 100), np.bool_)
    whole[5:10, 10:20] = True
    assert first.objects == {
        "size": [100, 50],
        "boxes": [[10, 5, 20, 10], [10, 5, 20, 10], [10, 5, 20, 10], [10, 8, 20, 12], [15, 5, 25, 25]],
        "classes": ["dog", "cat", "cat", "cat", "dog"],
        "outlines": [None, [[10, 5, 20, 5, 20, 10]], encode_runs(whole), None, None],
    }
    assert (second.key, second.objects) == ("sub/2.png", {"size": [100, 50], "boxes": [], "classes": []})
    assert listing.classes() == ["dog", "cat"]  # the order of the file
    assert listing.refused == {"gone.png": f"the annotations name it, and there is no file {tmp_path}/images/gone.png"}
    assert listing.others == {"not named by the annotations": 1}
    assert listing.notes == ("shapes without an area are left out: 1 x polyline",)


def test_masks_are_run_along_the_rows_of_their_box(tmp_path: Path) -> None:
    """Four pixels of a box of 3 x 2 at 2, 1: the upper row but its first, and the first two of the lower one."""
    for number in range(4):
        picture(tmp_path / f"images/{number}.png")
    mask = '<mask label="cat" rle="1, 4, 1" left="2" top="1" width="3" height="2"'
    odd = [
        ('rle="0, 6" left="98"', "a mask of 3 x 2 px at 98, 1, which is not inside of 100 x 50 px"),
        ('rle="0, 5" left="2"', "run lengths do not add up to the 6 pixels of a box of 3 x 2"),
        ('rle="0, 5.5, 0.5" left="2"', "its annotations have a mask whose rle is not of whole numbers"),
    ]
    wrong = [f'<mask label="cat" {said} top="1" width="3" height="2"/>' for said, _ in odd]
    listing = listed(tmp_path, *(image(f"{i}.png", shape) for i, shape in enumerate([f"{mask}/>", *wrong])))
    objects = listing.candidates[0].objects
    assert objects is not None
    assert objects["boxes"] == [[2, 1, 5, 3]]
    rows, columns = np.nonzero(runs(objects["outlines"][0], 100, 50))
    assert list(zip(columns.tolist(), rows.tolist(), strict=True)) == [(3, 1), (4, 1), (2, 2), (3, 2)]
    assert [why in listing.refused[f"{i}.png"] for i, (_, why) in enumerate(odd, 1)] == [True] * 3
    track = f'<track id="0" label="cat">{mask} frame="2" outside="0"/>{mask} frame="4" outside="1"/></track>'
    of_video = listed(tmp_path, track, meta=META)
    assert [len(one.objects["boxes"]) for one in of_video.candidates if one.objects] == [1, 1]
    assert all(one.objects and one.objects["outlines"] == objects["outlines"] for one in of_video.candidates)


def boxes_by_frame(listing: Listing) -> dict[str, Any]:
    return {one.key: one.objects and one.objects["boxes"] for one in listing.candidates}


def test_tracks_between_their_key_frames(tmp_path: Path) -> None:
    for number in range(9):
        picture(tmp_path / f"images/frame_{number:06d}.png")
    track = (
        '<track id="0" label="dog">'
        + box(10, 5, 20, 10, frame=2, outside=0, keyframe=1)
        + box(16, 5, 26, 10, frame=5, outside=0, keyframe=1)
        + box(16, 5, 26, 10, frame=6, outside=1, keyframe=1)
        + "</track>"
    )
    other = (
        '<track id="1" label="cat"><polygon frame="4" outside="0" points="0,0;4,0;4,4"/>'
        '<polygon frame="6" outside="0" points="2,0;8,0;8,4"/></track>'
    )
    listing = listed(tmp_path, track, other, meta=META)
    assert boxes_by_frame(listing) == {
        "frame_000002.png": [[10, 5, 20, 10]],
        "frame_000003.png": [[12, 5, 22, 10]],
        "frame_000004.png": [[14, 5, 24, 10], [0, 0, 4, 4]],
        "frame_000005.png": [[16, 5, 26, 10], [1, 0, 6, 4]],
        "frame_000006.png": [[2, 0, 8, 4]],  # the dog is outside
        "frame_000007.png": [],  # of the task, without an object
    }
    assert listing.others == {"of no frame of the annotations": 3}
    assert listing.candidates[3].objects is not None
    assert listing.candidates[3].objects["outlines"] == [None, [[1, 0, 6, 0, 6, 4]]]


def test_an_object_that_comes_back(tmp_path: Path) -> None:
    for number in range(5):
        picture(tmp_path / f"images/{number}.png")
    track = (
        '<track id="0" label="dog">'
        + box(0, 0, 2, 2, frame=0, outside=0)
        + box(0, 0, 2, 2, frame=2, outside=1)
        + box(8, 8, 9, 9, frame=4, outside=0)
        + "</track>"
    )
    listing = listed(tmp_path, track)
    assert boxes_by_frame(listing) == {
        "0.png": [[0, 0, 2, 2]],
        "1.png": [[0, 0, 2, 2]],
        "2.png": [],
        "3.png": [],
        "4.png": [[8, 8, 9, 9]],
    }


def test_frames_without_images_and_images_without_frames(tmp_path: Path) -> None:
    track = '<track id="0" label="dog">' + box(0, 0, 2, 2, frame=2) + box(0, 0, 2, 2, frame=3) + "</track>"
    picture(tmp_path / "images/2.png")
    assert listed(tmp_path, track, meta=META).refused == {
        "frame 3": f"the annotations have it, and no image in {tmp_path}/images has its number"
    }
    picture(tmp_path / "images/a2.png")
    with pytest.raises(ZoetropeError, match=r"by the last number in their names, and 2\.png and a2\.png have one"):
        listed(tmp_path, track, meta=META)
    for name in ("2.png", "a2.png"):
        (tmp_path / "images" / name).rename(tmp_path / "images" / f"1{name}")
    (tmp_path / "images/1a2.png").unlink()
    with pytest.raises(ZoetropeError, match=r"it has the frames 2 to 7, and .* has images with the numbers 12 to 12"):
        listed(tmp_path, track, meta=META)


def test_annotations_that_are_refused(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        picture(tmp_path / "images" / name)
    unknown = listed(tmp_path, image("1.png", box(0, 0, 1, 1, label="dog")), image("2.png"), labels=("dgo",))
    assert "unknown class 'dog'; did you mean 'dgo'" in unknown.refused["1.png"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("<a/>", "a.xml is <a>, and CVAT's XML is <annotations>"),
        ('<!DOCTYPE a [<!ENTITY b "b">]><annotations/>', "a.xml: its XML has a document type"),
        (cvat(image("1.png"), image("1.png")), "the image 1.png stands there twice"),
    ],
)
def test_files_that_are_refused(content: str, says: str, tmp_path: Path) -> None:
    picture(tmp_path / "images/1.png")
    write(tmp_path / "a.xml", content)
    source = CvatSource(kind="cvat", path=str(tmp_path / "images"), annotations=str(tmp_path / "a.xml"))
    with pytest.raises(ZoetropeError) as caught:
        look(source, Detection(kind="detection"), Split())
    assert says in str(caught.value)
    before = digest(source)
    write(tmp_path / "a.xml", cvat())
    assert digest(source) != before
