"""Names for the values of masks."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.values import COLOUR
from pipeline.draft.values import UnnamedColours, named_values
from pipeline.recipe.sources import ImagesSource
from pipeline.sources.masks import masks_of
from pipeline.sources.recognise import tree_of
from pipeline.sources.rows import Row


def rows(*values: int) -> list[Row]:
    return [{"key": "1.jpg", "width": 4, "height": 4, "frames": 1, "values": Counter(values)}]


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ((0, 1), {0: "background", 1: "object"}),
        ((0, 255), {0: "background", 255: "object"}),
        ((0, 1, 255), {0: "background", 1: "object"}),
        ((0, 0, 1, 4), {0: "background", 1: "class-1", 4: "class-4"}),
        ((0, 1, 1, 4), {0: "class-0", 1: "class-1", 4: "class-4"}),
        ((2, 3, 5, 255), {2: "class-2", 3: "class-3", 5: "class-5"}),
    ],
)
def test_numbers_where_nothing_names_them(tmp_path: Path, values: tuple[int, ...], classes: dict[int, str]) -> None:
    more, notes = named_values(tree_of(tmp_path), {}, rows(*values))
    assert more == {"classes": classes}
    assert "data.source.classes" in notes[0]


@pytest.mark.parametrize(
    ("name", "text", "values", "ignore"),
    [
        ("classes.txt", "sky\nroad\ncar\n", (0, 1, 2, 255), None),
        ("classes.txt", "sky\nroad\ncar\n", (0, 1, 2, 3), [3]),
        ("labels/classes.json", '{"0": "void", "7": "road"}', (0, 7), ["void"]),
        (
            "class_dict.csv",
            "name,r,g,b\nsky,128,128,128\nroad,128,64,128\n",
            (COLOUR | 0x808080, COLOUR | 0x804080),
            None,
        ),
    ],
)
def test_a_list_near_the_masks(
    tmp_path: Path, name: str, text: str, values: tuple[int, ...], ignore: list[Any] | None
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    more, _ = named_values(tree_of(tmp_path), {}, rows(*values))
    assert more == {"classes": str(tmp_path / name)} | ({"ignore": ignore} if ignore else {})


def test_a_list_of_something_else_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("sky\nroad\n")
    assert "classes.txt" not in str(named_values(tree_of(tmp_path), {}, rows(0, 1, 2, 3))[0])


def test_colours_without_a_list_get_one_to_be_named(tmp_path: Path) -> None:
    """It can be read as it is."""
    with pytest.raises(UnnamedColours, match="the masks are 2 colours, and no list names them") as error:
        named_values(tree_of(tmp_path), {}, rows(COLOUR | 0xFF0001, COLOUR))
    lines = [line for line in error.value.text.splitlines() if not line.startswith("#")]
    assert lines == ["class_0, 0, 0, 0", "class_1, 255, 0, 1"]
    (tmp_path / "mine.txt").write_text(error.value.text)
    masks = masks_of(ImagesSource(kind="images", path="", classes=str(tmp_path / "mine.txt")))
    assert (masks.classes, dict(masks.values.of)) == (("class_0", "class_1"), {0: 0, 0xFF0001: 1})


def test_too_many_colours_are_no_classes(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match="the masks have 256 colours, and at most 255 are classes"):
        named_values(tree_of(tmp_path), {}, rows(*(COLOUR | i for i in range(256))))
