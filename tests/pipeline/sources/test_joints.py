"""Key points of every source: which joints they are, and what is odd about them, with counts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import BadSample
from pipeline.recipe.bodies import BODIES, Body, skeleton_of
from pipeline.recipe.object_sources import LspSource, MpiiSource, YoloSource
from pipeline.recipe.sources import CocoSource, StickFiguresSource, TableSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import Detection, Keypoints
from pipeline.sources import coco, lsp, matlab, mpii, table, yolo
from pipeline.sources.drawn import as_files, draw
from pipeline.sources.joints import box_around, checked, plain_name, reading, reading_of
from pipeline.sources.listing import Listing
from pipeline.sources.rows import Row
from pipeline.sources.things import settled, tally
from tests.pipeline.sources.annotations import picture, write

PAIR = Body(joints=["left_end", "right_end", "neck"], limbs=[("neck", "left_end"), ("neck", "right_end")])
TASK = Keypoints(kind="keypoints", body=PAIR)
LSP = BODIES["lsp14"].joints


def told(listing: Listing, width: int = 100, height: int = 50) -> tuple[list[Any], list[str]]:
    """The key points of each picture once it is looked at, and what ingest says of all."""
    rows: list[Row] = []
    for one in listing.candidates:
        assert one.objects is not None
        found = settled(one.objects, width, height)
        said = (found.dropped, found.fits, found.reading)
        row = {"key": one.key, "split": "train", "objects": found.objects, "settled": said}
        rows.append({"width": width, "height": height, "frames": 1, **row})  # type: ignore[typeddict-item]  # of some keys
    words = tally(rows).words()
    return [row["objects"].get("keypoints") for row in rows], words


def test_joints_are_known_by_their_names() -> None:
    assert plain_name("R-Knee") == plain_name("r_knee") == "r_knee".replace("r_", "right_")
    body = BODIES["coco18"]
    read_as = reading(BODIES["coco17"].joints, body, "here")
    numbers = np.c_[np.arange(17), np.arange(17) * 2, np.full(17, 2)]
    found = np.reshape(read_as(numbers.ravel().tolist()), (-1, 3))
    assert found[1].tolist() == [5.5, 11, 2]  # a neck: the middle of the shoulders
    assert found[2].tolist() == [6, 12, 2]
    numbers[5, 2] = 1
    assert np.reshape(read_as(numbers.ravel().tolist()), (-1, 3))[1].tolist() == [5.5, 11, 1]
    numbers[5] = 0
    assert np.reshape(read_as(numbers.ravel().tolist()), (-1, 3))[1].tolist() == [0, 0, 0]
    with pytest.raises(BadSample, match="it has 3 key points, and 17 are named"):
        read_as([0.0] * 9)
    assert reading_of(17, body, "here") == read_as
    with pytest.raises(
        ZoetropeError, match=r"here has no joint 'nose', .* A body of its joints is lsp14: set task.body"
    ):
        reading(LSP, body, "here")
    with pytest.raises(ZoetropeError, match=r"here has 5 key points a body, and task.body has 18 joints"):
        reading_of(5, body, "here")
    assert skeleton_of(PAIR).between == {"neck": ("left_shoulder", "right_shoulder")}


def test_what_is_odd_is_counted_and_made_cocos() -> None:
    nan = float("nan")
    points = [
        [10.0, 10.0, 2.0, 20.0, 20.0, 1.0, 0.0, 0.0, 0.0],  # as it should be
        [-20.0, 10.0, 2.0, 100.5, 10.0, 2.0, nan, 10.0, 2.0],  # outside, a little outside, no number
        [0.0, 0.0, 2.0, 30.0, 30.0, 0.0, 40.0, 40.0, 0.7],  # at 0, 0; a place without visibility; a score
        [0.0] * 9,
        None,
    ]
    found, counts = checked(points, [0, 0, 0, 0, 1], 3, 100, 50)
    assert found == [
        [10, 10, 2, 20, 20, 1, 0, 0, 0],
        [0, 0, 0, 100, 10, 2, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 40, 40, 2],
        None,
        None,
    ]
    assert counts == {
        "key points outside of their picture": 1,
        "key points whose place is no number": 1,
        "key points whose visibility is none of 0, 1 and 2": 1,
        "key points that have a place and the visibility 0": 1,
        "key points at 0, 0 that are said to be labelled": 1,
        "bodies without a labelled key point": 1,
    }
    assert checked([], [], 3, 100, 50) == ([], {"pictures without a body": 1})


def test_a_box_is_a_tenth_around_the_joints() -> None:
    assert box_around([10, 20, 2, 30, 60, 1, 0, 0, 0]) == (8, 16, 32, 64)
    assert box_around([0, 0, 0]) is None


def listed_coco(root: Path, annotations: list[dict[str, Any]], names: Any) -> Listing:
    for name in ("1.png", "2.png"):
        picture(root / "images" / name)
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 100, "height": 50} for i in (1, 2)],
        "annotations": annotations,
        "categories": [
            {"id": 1, "name": "person", **({"keypoints": names} if names else {})},
            {"id": 2, "name": "car"},
        ],
    }
    (root / "a.json").write_text(json.dumps(content))
    source = CocoSource(kind="coco", path=str(root / "images"), annotations=str(root / "a.json"))
    return coco.look(source, TASK, Split())


def one(number: int, keypoints: Any, image: int = 1, **more: Any) -> dict[str, Any]:
    box = {"bbox": [10, 5, 30, 30], "category_id": 1}
    return {"id": number, "image_id": image, "keypoints": keypoints, **box, **more}


def test_coco_by_names_with_counts(tmp_path: Path) -> None:
    """Joints in another order, objects without any, NaN, and ids that begin anew in each picture."""
    nan = float("nan")
    listing = listed_coco(
        tmp_path,
        [
            one(1, [1, 1, 2, 2, 2, 1, 3, 3, 2, 4, 4, 2]),
            one(2, [0] * 12, iscrowd=1, segmentation={"size": [50, 100], "counts": [0, 5000]}),
            one(1, [nan, 1, 2, 20, 2, 1, 300, 3, 2, 4, 4, 2], image=2),
            one(3, None, category_id=2),
        ],
        ["neck", "right_end", "tail", "left_end"],
    )
    assert listing.classes() == ["person"]
    assert any("1 annotations have an id that another one has, such as 1" in note for note in listing.notes)
    points, words = told(listing)
    assert points == [[[4, 4, 2, 2, 2, 1, 1, 1, 2], None], [[4, 4, 2, 20, 2, 1, 0, 0, 0]]]
    assert words == [
        "1 key points whose place is no number, such as in 2.png: they count as not labelled",
    ]


def test_coco_without_names_or_with_other_numbers(tmp_path: Path) -> None:
    listing = listed_coco(tmp_path, [one(1, [1, 1, 2] * 3), one(2, [1, 1, 2] * 2, image=2)], None)
    assert listing.refused == {"2.png": "one of its annotations: it has 2 key points, and 3 are named"}
    points, words = told(listing)
    assert points == [[[1, 1, 2] * 3]]
    assert words == []
    with pytest.raises(
        ZoetropeError, match=r"has no key points: neither do its categories name any, nor do annotations"
    ):
        listed_coco(tmp_path / "none", [one(1, None)], None)
    with pytest.raises(ZoetropeError, match=r"has no joint 'left_end', .* but nose"):
        listed_coco(tmp_path / "other", [one(1, [1, 1, 2])], ["nose"])


def test_yolo_with_key_points(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "1.png")
    picture(tmp_path / "images" / "2.png")
    picture(tmp_path / "images" / "3.png")
    write(tmp_path / "labels" / "1.txt", "0 0.5 0.5 0.4 0.4 0.1 0.2 2 0.3 0.4 1 0 0 0\n")
    write(tmp_path / "labels" / "2.txt", "0 0.5 0.5 0.4 0.4 0.1 0.2 0.3 0.4 0 0\n")
    write(tmp_path / "labels" / "3.txt", "0 0.5 0.5 0.4 0.4\n")
    source = YoloSource(kind="yolo", path=str(tmp_path / "images"), classes=["person"])
    listing = yolo.look(source, TASK, Split())
    assert listing.refused == {
        "3.png": "line 1 of its annotations: it has 5 columns; with 3 key points it is 14, class cx cy w h and x y v "
        "each, or 11 without v"
    }
    points, words = told(listing)
    assert points == [[[10, 10, 2, 30, 20, 1, 0, 0, 0]], [[10, 10, 2, 30, 20, 2, 0, 0, 0]]]
    assert words == []


def test_yolos_file_says_how_many_key_points_there_are(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "1.png")
    numbers = " ".join(f"{i / 100} {i / 50} 2" for i in range(17))
    write(tmp_path / "labels" / "1.txt", f"0 0.5 0.5 0.4 0.4 {numbers}\n")
    path = write(tmp_path / "data.yaml", "train: images\nnames: [person]\nkpt_shape: [17, 3]\n")
    source = YoloSource(kind="yolo", path=str(path))
    listing = yolo.look(source, Keypoints(kind="keypoints", body="coco18"), Split())
    points, _ = told(listing)
    assert points[0][0][3:6] == [5.5, 5.5, 2]  # the neck
    with pytest.raises(ZoetropeError, match=r"set task.kind=keypoints"):
        yolo.look(source, Detection(kind="detection"), Split())


def test_lsp_in_both_of_its_parts(tmp_path: Path) -> None:
    """The marks of what is hidden are opposite, and pixels are counted from 1."""
    for name in ("im0001.jpg", "im0002.jpg", "im9999.jpg", "notes.jpg"):
        picture(tmp_path / "images" / name)
    joints = np.zeros((3, 14, 4))
    joints[0], joints[1], joints[2, 0] = 11.0, 21.0, 1  # the first joint is hidden
    joints[0, 1] = 31
    savemat(tmp_path / "joints.mat", {"joints": joints})
    source = LspSource(kind="lsp", path=str(tmp_path / "images"), annotations=str(tmp_path / "joints.mat"))
    task = Keypoints(kind="keypoints", body="lsp14")
    listing = lsp.look(source, task, Split())
    assert dict(listing.others) == {"not called as .mat counts them": 2} or sum(listing.others.values()) == 2
    assert "2 of 4 images are not there, such as im0003.jpg" in listing.notes[0]
    points, _ = told(listing)
    assert points[0][0][:6] == [10.5, 20.5, 1, 30.5, 20.5, 2]
    official = lsp.look(source.model_copy(update={"official": True}), task, Split())
    assert [one.split for one in official.candidates] == ["train", "train"]
    extended = joints.transpose(1, 0, 2).copy()
    savemat(tmp_path / "joints.mat", {"joints": extended})
    points, _ = told(lsp.look(source, task, Split()))
    assert points[0][0][:6] == [10.5, 20.5, 2, 0, 0, 0]  # 0 is not labelled
    (tmp_path / "joints.mat").write_bytes(b"nothing")
    with pytest.raises(ZoetropeError, match="is no file of Matlab"):
        lsp.look(source, task, Split())
    savemat(tmp_path / "joints.mat", {"joints": np.zeros((3, 16, 2))})
    with pytest.raises(ZoetropeError, match=r"has no array joints of 3 x 14 x n numbers, .* it has \[3, 16, 2\]"):
        lsp.look(source, task, Split())
    assert lsp.digest(source) == lsp.digest(source)


def test_mpii_a_record_a_person(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        picture(tmp_path / "images" / name)
    joints = [[i + 1, 2 * i + 1] for i in range(16)]
    joints[0] = [-1, -1]
    person = {"image": "a.jpg", "joints": joints, "joints_vis": [0] + [1] * 15, "center": [5, 5], "scale": 0.2}
    records = [person, person, {**person, "image": "b.jpg", "joints": joints[:3]}, {**person, "image": "c.jpg"}]
    (tmp_path / "train.json").write_text(json.dumps(records))
    source = MpiiSource(kind="mpii", path=str(tmp_path / "images"), annotations=str(tmp_path / "train.json"))
    listing = mpii.look(source, Keypoints(kind="keypoints", body="mpii16"), Split())
    assert sorted(listing.refused) == ["b.jpg", "c.jpg"]
    points, _ = told(listing)
    assert len(points[0]) == 2
    assert points[0][0][:6] == [0, 0, 0, 1.5, 2.5, 2]  # from 1, to the middle of a pixel from 0
    assert mpii.digest(source) == mpii.digest(source)


def structures(*rows: dict[str, Any]) -> Any:
    """A structure array [1, n] of Matlab; what a row lacks is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    found = np.empty((1, len(rows)), [(name, object) for name in names])
    for i, row in enumerate(rows):
        for name in names:
            found[name][0, i] = row.get(name, np.empty((0, 0)))
    return found


def test_mpiis_own_file(tmp_path: Path) -> None:
    """As published: empty marks, a mark that is a character, persons without points, and a test part."""
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        picture(tmp_path / "images" / name)
    points = structures(
        {"x": 11.0, "y": 21.0, "id": np.uint8(0), "is_visible": np.uint8(1)},
        {"x": 31.0, "y": 21.5, "id": np.uint8(1), "is_visible": "0"},
        {"x": 41.0, "y": 31.0, "id": np.uint8(9)},  # the head's top has no mark
    )
    odd = structures({"x": 1.0, "y": 1.0, "id": np.uint8(16), "is_visible": np.uint8(1)})
    place = structures({"x": 51.0, "y": 26.0})
    persons = structures(
        {"x1": 40.0, "annopoints": structures({"point": points}), "scale": 0.2, "objpos": place},
        {"x1": 50.0, "scale": 0.1, "objpos": place},  # nobody labelled a joint
        {"x1": 60.0},
    )
    images = structures(
        {"image": structures({"name": "a.jpg"}), "annorect": persons},
        {"image": structures({"name": "b.jpg"}), "annorect": structures({"scale": 0.1, "objpos": place})},
        {"image": structures({"name": "c.jpg"}), "annorect": structures({"annopoints": structures({"point": odd})})},
        {"image": structures({"name": "d.jpg"}), "annorect": structures({"scale": 0.1, "objpos": place})},
    )
    path = tmp_path / "mpii_human_pose_v1_u12_1.mat"
    release = structures({"annolist": images, "img_train": np.array([[1, 1, 1, 0]], np.uint8), "version": "12"})
    savemat(path, {"RELEASE": release}, do_compression=True)
    source = MpiiSource(kind="mpii", path=str(tmp_path / "images"), annotations=str(path))
    listing = mpii.look(source, Keypoints(kind="keypoints", body="mpii16"), Split())
    assert [one.key for one in listing.candidates] == ["a.jpg"]
    assert listing.refused == {"c.jpg": "one of its annotations has a joint with the id 16, and MPII's are 0 to 15"}
    assert dict(listing.others) == {
        "of which nobody labelled a joint": 1,
        "not named by the annotations, or of the test part, whose joints were not published": 1,
    }
    read, words = told(listing)
    first, second = read[0]
    assert second is None
    assert words == [
        "1 bodies without a labelled key point, such as in a.jpg: they are neither learned nor measured, and what they "
        "cover is no background"
    ]
    assert first[:6] == [10.5, 20.5, 2, 30.5, 21, 1]
    assert first[27:30] == [40.5, 30.5, 2]
    assert sum(first[2::3]) == 5
    objects = listing.candidates[0].objects
    assert objects is not None
    assert objects["boxes"][1] == [40.5, 15.5, 60.5, 35.5]  # 0.1 times 200 px around 50.5, 25.5
    savemat(path, {"RELEASE": structures({"annolist": images})})
    with pytest.raises(ZoetropeError, match="has no structure RELEASE with `annolist` and as many marks `img_train`"):
        mpii.look(source, Keypoints(kind="keypoints", body="mpii16"), Split())
    savemat(path, {"joints": np.zeros(3)})
    with pytest.raises(ZoetropeError, match="has no structure RELEASE"):
        mpii.look(source, Keypoints(kind="keypoints", body="mpii16"), Split())


def test_a_file_of_matlab_is_not_unpacked_without_end(tmp_path: Path) -> None:
    path = tmp_path / "joints.mat"
    savemat(path, {"joints": np.zeros((3, 14, 20_000))}, do_compression=True)
    content = path.read_bytes()
    assert len(content) < 20_000
    tags = 8 + 16 + 24 + 16 + 8  # of the array, its flags, its shape, its name, its numbers
    assert matlab.unpacked_bytes(content, 1 << 30) == 128 + tags + 3 * 14 * 20_000 * 8
    assert matlab.unpacked_bytes(content, 1 << 20) < (1 << 20) + matlab.PIECE + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matlab, "MAX_ANNOTATION_BYTES", 1 << 20)
        with pytest.raises(ZoetropeError, match="has more than 1 MiB once it is unpacked"):
            lsp.joints_in(str(path))
    for torn in (content[:1000], content[:127], b"", content[:-4] + b"0000"):
        path.write_bytes(torn)
        with pytest.raises(ZoetropeError, match=r"is no file of Matlab up to version 7|has no array joints"):
            lsp.joints_in(str(path))


def test_a_table_with_a_row_a_body(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        picture(tmp_path / name)
    text = """path,Left_End_x,Left_End_y,right_end_x,right_end_y,right_end_v,neck_x,neck_y,label,xmin,ymin,xmax,ymax
1.png,10,20,30,40,1,,,person,5,5,40,45
1.png,1,2,3,4,,5,6,,,,,
2.png,,,,,,,,,,,,
3.png,,,,,,,,person,,,,
"""
    source = TableSource(kind="table", path=str(write(tmp_path / "a.csv", text)))
    listing = table.look(source, TASK, Split())
    assert listing.refused == {"row 4": "it has a label, and neither a box nor a key point"}
    points, words = told(listing)
    assert points == [[[10, 20, 2, 30, 40, 1, 0, 0, 0], [1, 2, 2, 3, 4, 2, 5, 6, 2]], []]
    assert words == ["1 pictures without a body, such as in 2.png: they are learned as background"]
    first = listing.candidates[0].objects
    assert first is not None
    assert first["boxes"][0] == [5, 5, 40, 45]
    bare = write(tmp_path / "b.csv", "path,left_x\n1.png,3\n")
    with pytest.raises(ZoetropeError, match="none of key points, such as left_end_x and left_end_y"):
        table.look(TableSource(kind="table", path=str(bare)), TASK, Split())


def test_stick_figures_are_drawn_as_they_are_said(tmp_path: Path) -> None:
    """The same files however they are cut; bright joints, and a right side on the left."""
    source = StickFiguresSource(kind="stick-figures", samples=20, size_px=96)
    draw(source, tmp_path / "whole", range(6))
    draw(source, tmp_path / "part", range(3, 6))
    for path in (tmp_path / "part").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "whole" / path.relative_to(tmp_path / "part")).read_bytes()
    listing = yolo.look(as_files(source, tmp_path / "whole"), Keypoints(kind="keypoints", body="lsp14"), Split())  # type: ignore[arg-type]
    points, words = told(listing, 96, 96)
    assert len(points) == 6
    assert not words
    bodies = [np.reshape(one, (14, 3)) for several in points for one in several]
    shoulders = [LSP.index(f"{side}_shoulder") for side in ("right", "left")]
    for body in bodies:
        assert (body[:, 2] == 2).all()
        assert body[shoulders[0], 0] < body[shoulders[1], 0]
