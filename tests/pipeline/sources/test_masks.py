"""What recipes and their files say of the values of masks, and what ingest says of how much there is of each."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.values import Values, packed
from pipeline.recipe.sources import MaskClasses
from pipeline.sources import masks
from pipeline.sources.listing import Masks
from pipeline.sources.masks import ValueRow, categories, foreground_of, lines, masks_of, tally
from pipeline.sources.rows import Row

SKY_ROAD = Masks(("sky", "road"), Values({0: 0, 1: 1, 255: 255}))
COLOURED = Masks(("sky", "road"), Values({packed(128, 0, 0): 0, packed(0, 9, 255): 1}, colours=True))


def said(classes: Any, ignore: Any = ()) -> Masks:
    return masks_of(MaskClasses(classes=classes, ignore=list(ignore)))


@pytest.mark.parametrize(
    ("classes", "ignore", "expected"),
    [
        (["sky", "road"], [], SKY_ROAD),
        (["sky", "road"], [11], Masks(("sky", "road"), Values({0: 0, 1: 1, 255: 255, 11: 255}))),
        (["other", "sky", "road"], ["other"], Masks(("sky", "road"), Values({0: 255, 1: 0, 2: 1, 255: 255}))),
        (["other", "sky", "road"], [0], Masks(("sky", "road"), Values({0: 255, 1: 0, 2: 1, 255: 255}))),
        ({0: "background", 255: "cell"}, [], Masks(("background", "cell"), Values({0: 0, 255: 1}))),
        ({"9": "b", "10": "a", "8": "b"}, [], Masks(("b", "a"), Values({8: 0, 9: 0, 10: 1, 255: 255}))),
        (None, [], Masks((), Values({}, colours=None))),
    ],
)
def test_classes_in_the_recipe(classes: Any, ignore: list[int | str], expected: Masks) -> None:
    assert said(classes, ignore) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sky\nroad\n", SKY_ROAD),
        ("# CamVid\nsky\n\nroad", SKY_ROAD),
        ("0 sky\n1 road\n", SKY_ROAD),
        ("1: road\n0: sky\n", Masks(("road", "sky"), Values({0: 1, 1: 0, 255: 255}))),  # the file's order
        ("name,r,g,b\nsky,128,0,0\nroad, 0, 9, 255\n", COLOURED),
        ("128 0 0 sky\n0 9 255 road\n", COLOURED),
        ("128,0,0,sky\n0,9,255,road\n", COLOURED),
        (
            "fire hydrant 1 2 3\n4 5 6 traffic light",
            Masks(("fire hydrant", "traffic light"), Values({0x010203: 0, 0x040506: 1}, colours=True)),
        ),
        ("3 wheeler\ncar\nbus", Masks(("3 wheeler", "car", "bus"), Values({0: 0, 1: 1, 2: 2, 255: 255}))),
    ],
)
def test_a_file_of_classes(tmp_path: Path, text: str, expected: Masks) -> None:
    (tmp_path / "classes.txt").write_text(text)
    assert said(str(tmp_path / "classes.txt")) == expected


@pytest.mark.parametrize("text", ['["sky", "road"]', '{"1": "road", "0": "sky"}'])
def test_a_file_of_classes_in_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.json").write_text(text)
    assert said(str(tmp_path / "classes.json")) == SKY_ROAD


def test_a_colour_that_does_not_count_is_ignored_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("void 0 0 0\nsky 128 0 0\nroad 0 9 255\n")
    found = said(str(tmp_path / "c.txt"), ["void"])
    assert found.classes == ("sky", "road")
    assert (found.name(0), found.name(packed(0, 9, 255))) == (None, "road")


WRONG: list[tuple[Any, list[int | str], str]] = [
    ([], [], "data.source.classes: names no class."),
    (["sky", "sky"], [], "data.source.classes: 'sky' stands there twice."),
    (["sky", " "], [], "data.source.classes: its label is empty."),
    ({70_000: "sky"}, [], "data.source.classes: 70000 is no value of a mask: a number from 0 to 65,535."),
    (["sky", "road"], [-1], "data.source.ignore: -1 is no value of a mask: a number from 0 to 65,535."),
    (["sky", "road"], ["raod"], "data.source.ignore: unknown class 'raod'; did you mean 'road'?"),
    ([f"c{i}" for i in range(257)], [], "data.source.classes: 257 classes are more than the 255 that a mask can have."),
]


@pytest.mark.parametrize(("classes", "ignore", "says"), WRONG)
def test_wrong_classes(classes: Any, ignore: list[int | str], says: str) -> None:
    with pytest.raises(ZoetropeError) as caught:
        said(classes, ignore)
    assert str(caught.value) == says


@pytest.mark.parametrize(
    ("name", "text", "ignore", "says"),
    [
        ("c.txt", "sky 1 2 3\nroad 1 2 3\n", [], "data.source.classes: 1 2 3 stands there twice."),
        ("c.txt", "sky 1 2 3\nroad 1 2\nsea 3 4 5", [], "c.txt has the line 'road 1 2', and others are `name, red, "),
        ("c.txt", "0 sky\nroad\n1 sea", [], "c.txt has the line 'road', and others are `value name`."),
        ("c.txt", "sky 1 2 3\nroad 1 2 300\nsea 4 5 6", [], "c.txt has the line 'road 1 2 300', and others are "),
        ("c.txt", "sky 1 2 3\nroad 3 4 5", [0], "data.source.ignore: 0: name colours that do not count in classes, "),
        ("c.txt", "\xff", [], "is not text in UTF-8."),
        ("c.json", '{"a": "b"}', [], "is not a list of names or an object of values and names, in JSON."),
        ("c.json", "3", [], "is not a list of names or an object of values and names, in JSON."),
    ],
)
def test_wrong_files_of_classes(tmp_path: Path, name: str, text: str, ignore: list[int | str], says: str) -> None:
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ZoetropeError) as caught:
        said(str(tmp_path / name), ignore)
    assert says in str(caught.value)


def test_instance_maps_have_two_classes() -> None:
    assert foreground_of(MaskClasses()) == Masks(("background", "object"), Values({0: 0}, rest=1))
    named = foreground_of(MaskClasses(classes=["rest", "cell"], ignore=[65_535]))
    assert named == Masks(("rest", "cell"), Values({0: 0, 65_535: 255}, rest=1))
    with pytest.raises(ZoetropeError, match=r"two classes, such as \[background, object\], not 3"):
        foreground_of(MaskClasses(classes=["a", "b", "c"]))


def test_categories_follow_the_background() -> None:
    assert categories(["cat", "dog"], "rest") == Masks(("rest", "cat", "dog"), Values({0: 0, 1: 1, 2: 2}))
    assert categories(["cat", "dog"], None) == Masks(("cat", "dog"), Values({0: 255, 1: 0, 2: 1}))


def row(split: str, values: dict[int, int], **more: Any) -> Row:
    found: Any = {"key": "k", "split": split, "classes": (), "values": values, **more}
    return found


def test_ingest_says_how_much_there_is_of_each_value() -> None:
    of = {"": Masks(("sky", None), Values({0: 0, 1: 1, 255: 255}))}
    rows = [row("train", {0: 6, 1: 2}), row("val", {0: 1}), row("val", {0: 2, 255: 1}, tar=3)]
    found = tally(rows, of, {"sky": 0}).rows(of)
    assert found == [
        {"source": "", "value": "0", "name": "sky", "pixels": 9, "train": 1, "val": 2},
        {"source": "", "value": "1", "name": None, "pixels": 2, "train": 1, "val": 0},
        {"source": "", "value": "255", "name": None, "pixels": 1, "train": 0, "val": 1},
    ]
    assert lines(found, found) == [
        "  0 -> sky: 75.00% of the pixels, in 1+2 pictures",
        "  1 -> ignored: 16.67% of the pixels, in 1+0 pictures",
        "  255 -> ignored: 8.33% of the pixels, in 0+1 pictures",
    ]
    assert [one["classes"] for one in rows] == [("sky",)] * 3
    assert not any("values" in one for one in rows)
    assert [one.get("amounts") for one in rows] == [None, None, {"0": 2}]


def test_shares_are_of_each_source() -> None:
    found: list[ValueRow] = [
        {"source": name, "value": "0", "name": "sky", "pixels": pixels, "train": 1, "val": 0}
        for name, pixels in (("a", 5), ("b", 50))
    ]
    assert lines(found, found) == [
        "  a: 0 -> sky: 100.00% of the pixels, in 1+0 pictures",
        "  b: 0 -> sky: 100.00% of the pixels, in 1+0 pictures",
    ]


def test_where_nothing_is_said_the_error_lists_the_values() -> None:
    of = {"mine": masks_of(MaskClasses())}
    with pytest.raises(ZoetropeError) as caught:
        tally([row("train", {0: 3, 255: 1}, source="mine")], of, {})
    assert str(caught.value) == (
        "data.source.of.mine.classes: is not set, and the masks have these values:\n"
        "  mine: 0: 75.00% of the pixels, in 1+0 pictures\n"
        "  mine: 255: 25.00% of the pixels, in 1+0 pictures\n"
        "Name the classes in their order, data.source.of.mine.classes=[name of 0, name of 1, ...], or by value, "
        "{0: background, 255: object}; what does not count goes into ignore: [11]. If they number objects, name their "
        "folder in data.source.instances."
    )
    colour = 1 << 24 | packed(1, 2, 3)
    with pytest.raises(ZoetropeError, match=r"  1 2 3: 100.00%(.|\n)*a file with a line `name, red, green, blue`"):
        tally([row("train", {colour: 3})], {"": masks_of(MaskClasses())}, {})


def test_what_values_mean_is_kept_for_the_shards(tmp_path: Path) -> None:
    values = {
        "": Values({0: 1, 255: 255}),
        "b": Values({packed(1, 2, 3): 0}, colours=True),
        "c": Values({0: 0}, rest=1),
    }
    masks.write(tmp_path / "masks.json", values)
    assert masks.read(tmp_path / "masks.json") == values
