"""Pascal VOC: pixels from 1 or from 0, difficult objects, lists of images, and XML of strangers."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import BadSample
from pipeline.decode.objects import DIFFICULT, PLAIN
from pipeline.recipe.object_sources import VocSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import Detection
from pipeline.sources.listing import Listing
from pipeline.sources.safe_xml import MAX_DEPTH, parse_xml
from pipeline.sources.voc import digest, look, said_in
from tests.pipeline.sources.annotations import picture, voc, write

BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><annotation>&c;</annotation>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation>&b;</annotation>'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("1.jpg", "2.jpg", "deep/3.jpg", "bare.jpg"):
        picture(tmp_path / "JPEGImages" / name)
    write(tmp_path / "Annotations/1.xml", voc(("dog", 11, 6, 20, 10), ("cat", 1, 1, 100, 50, 1)))
    write(tmp_path / "Annotations/2.xml", voc())
    write(tmp_path / "Annotations/deep/3.xml", voc(("cat", 11.5, 6, 20, 10.25, 0), size=(0, 0)))
    return tmp_path


def source(root: Path, **more: Any) -> VocSource:
    paths = {"path": str(root / "JPEGImages"), "annotations": str(root / "Annotations")}
    return VocSource(kind="voc", **{**paths, **more})


def listed(root: Path, **more: Any) -> Listing:
    return look(source(root, **more), Detection(kind="detection"), Split())


def boxes(listing: Listing) -> dict[str, Any]:
    return {one.key: one.objects and one.objects["boxes"] for one in listing.candidates}


def test_images_with_an_xml_file(root: Path) -> None:
    write(root / "Annotations/lone.xml", voc(("dog", 1, 1, 2, 2)))
    listing = listed(root)
    assert {one.key: one.objects for one in listing.candidates} == {
        "1.jpg": {
            "size": [100, 50],
            "boxes": [[10, 5, 20, 10], [0, 0, 100, 50]],
            "classes": ["dog", "cat"],
            "crowd": [PLAIN, DIFFICULT],
        },
        "2.jpg": {"size": [100, 50], "boxes": [], "classes": []},
        "deep/3.jpg": {"boxes": [[10.5, 5, 20, 10.25]], "classes": ["cat"]},  # a size of 0 says nothing
    }
    assert listing.classes() == ["cat", "dog"]
    assert listing.others == {"images without an XML file": 1}
    assert listing.refused == {"lone.xml": f"it has no image: {root}/JPEGImages holds no lone.*"}
    assert listing.notes == (
        "pixels of boxes are counted from 1, as the files say that they are VOC's; data.source.first_pixel says it "
        "otherwise",
    )


def test_a_box_that_begins_at_0_is_not_counted_from_1(root: Path) -> None:
    write(root / "Annotations/2.xml", voc(("dog", 0, 6, 20, 10)))
    listing = listed(root)
    assert boxes(listing)["1.jpg"] == [[11, 6, 20, 10], [1, 1, 100, 50]]
    assert listing.notes[0].startswith("pixels of boxes are counted from 0, as a box of 2.jpg begins at 0")


def test_files_of_other_tools_are_counted_from_0_unless_the_recipe_says_otherwise(root: Path) -> None:
    for name in ("1", "2", "deep/3"):
        write(root / f"Annotations/{name}.xml", voc(("dog", 11, 6, 20, 10), database="Unknown"))
    assert boxes(listed(root))["1.jpg"] == [[11, 6, 20, 10]]
    assert boxes(listed(root, first_pixel=1))["1.jpg"] == [[10, 5, 20, 10]]
    assert listed(root, first_pixel=1).notes == ()


def test_lists_of_images(root: Path) -> None:
    sets = root / "ImageSets/Main"
    write(sets / "train.txt", "1  1\nbare -1\ngone 0\n")
    write(sets / "val.txt", "deep/3\n")
    listing = listed(root, sets=str(sets / "{split}.txt"))
    assert {one.key: one.split for one in listing.candidates} == {"1.jpg": "train", "deep/3.jpg": "val"}
    assert listing.refused == {
        "bare.jpg": f"it has no XML file {root}/Annotations/bare.xml",
        "gone": f"it has no image: {root}/JPEGImages holds no gone.*",
    }
    assert not listing.held_out_by_ratio
    before = digest(source(root, sets=str(sets / "{split}.txt")))
    write(sets / "val.txt", "1\n")
    assert digest(source(root, sets=str(sets / "{split}.txt"))) != before
    with pytest.raises(ZoetropeError, match=r"data\.source\.sets: 1\.jpg is listed for train and for val; list it for"):
        listed(root, sets=str(sets / "{split}.txt"))
    write(sets / "val.txt", "\n")
    with pytest.raises(ZoetropeError, match=r"data\.source\.sets: .*val\.txt lists no image"):
        listed(root, sets=str(sets / "{split}.txt"))


def test_classes_that_are_listed(root: Path) -> None:
    listing = listed(root, classes=["dog", "cat", "eel"])
    assert listing.classes() == ["dog", "cat", "eel"]
    names = write(root / "names.txt", "dog\ncats\n")
    listing = listed(root, classes=str(names))
    why = (
        "an object of it is of a class that data.source.classes does not list: unknown class 'cat'; did you mean 'cats'"
    )
    assert [reason.startswith(why) for reason in listing.refused.values()] == [True, True]
    with pytest.raises(ZoetropeError, match=r"data\.source\.classes: 'a' stands there twice"):
        listed(root, classes=["a", "a"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (BOMB, "its XML has a document type"),
        (OUTSIDE, "its XML has a document type"),
        ("<annotation>", "it is no XML: no element found"),
        ("<a>" * (MAX_DEPTH + 1), f"its XML is nested more than {MAX_DEPTH} deep"),
        ('<?xml version="1.0" encoding="no-such"?><annotation/>', "it is no XML: "),
        ("<html/>", "its XML is <html>, and VOC's is <annotation>"),
        ("<annotation><object><name>dog</name></object></annotation>", "an object of it has no bndbox"),
        (voc(("dog", "x", 1, 2, 3)), "its annotations say 'x' where xmin stands, which is no number"),
        (voc(("dog", 1, 1, 2, "nan")), "its annotations say 'nan' where ymax stands"),
        (voc(("", 1, 1, 2, 3)), "its label is empty"),
    ],
)
def test_xml_that_is_refused(content: str, says: str, root: Path) -> None:
    with pytest.raises(BadSample) as caught:
        said_in(content.encode(), {})
    assert caught.value.reason.startswith(says)
    write(root / "Annotations/2.xml", content)
    assert listed(root).refused == {"2.jpg": caught.value.reason}


def test_xml_beyond_its_cap() -> None:
    with pytest.raises(BadSample, match="its XML has 4 bytes, more than the 3 allowed"):
        parse_xml(b"<a/>", 3)
    assert parse_xml(b"<a b='1'><c>x&lt;</c></a>", 100).findtext("c") == "x<"


def test_nothing_to_list(tmp_path: Path) -> None:
    picture(tmp_path / "JPEGImages/1.jpg")
    (tmp_path / "Annotations").mkdir()
    with pytest.raises(ZoetropeError, match=r"gives no picture with annotations; there is 1 x images without an XML"):
        listed(tmp_path)
