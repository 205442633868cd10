"""Fonts of the machine are those that a test says: none, or one made here that has a single Chinese letter."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from pipeline.figures import fonts
from pipeline.figures.figures import class_bars, confusion_matrix

HAVE = "Test Han"
NAMES = ["cat", "中", "नमस्ते", "мир", "مرحبا", "🦄", "a\nb", "\x1b[2J", "\u202egpj"]


def make_font(path: Path) -> None:
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 800), (900, 800), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "han"])
    builder.setupCharacterMap({ord("中"): "han"})
    builder.setupGlyf({".notdef": pen.glyph(), "han": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "han": (1000, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupOS2(usWeightClass=400)
    builder.setupNameTable({"familyName": HAVE, "styleName": "Regular"})
    builder.setupPost()
    builder.save(path)


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(fonts, "_installed", list)
    fonts._cover.cache_clear()
    yield
    fonts._cover.cache_clear()


@pytest.fixture
def one_font(no_fonts: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_font(tmp_path / "han.ttf")
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*font_manager.fontManager.ttflist])
    font_manager.fontManager.addfont(tmp_path / "han.ttf")
    monkeypatch.setattr(fonts, "_installed", lambda: ["Not There", HAVE])


def draw(names: list[str], folder: Path) -> None:
    """Figures with names on their axes; a warning is an error."""
    count = len(names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        confusion_matrix(np.eye(count, dtype=int), np.ones(count), names, folder / "cm.png")
        class_bars(np.linspace(0, 1, count), np.ones(count, int), names, "AP", folder / "bars.png")


@pytest.mark.usefixtures("no_fonts")
def test_a_class_whose_name_cannot_be_drawn_is_a_number(tmp_path: Path) -> None:
    names = fonts.class_names(NAMES)
    assert names == ["cat", "class 1", "class 2", "мир", "مرحبا", "class 5", r"a\nb", r"\x1b[2J", r"\u202egpj"]
    assert fonts.drawable("中 $a$ 🦄") == r"\u4e2d $a$ \U0001f984"
    draw(NAMES, tmp_path)
    assert fonts.families("中") == ["DejaVu Sans"]


@pytest.mark.usefixtures("one_font")
def test_a_font_of_the_machine_is_used(tmp_path: Path) -> None:
    assert fonts.families("cat 中") == ["DejaVu Sans", HAVE]
    assert fonts.families("cat") == ["DejaVu Sans"]
    names = fonts.class_names(NAMES)
    assert names[:3] == ["cat", "中", "class 2"]
    draw(names, tmp_path)


def test_fonts_of_this_machine_come_in_one_order_and_have_letters() -> None:
    found = fonts._installed()
    assert found == sorted(found, key=lambda name: (not name.startswith("Noto Sans"), name))
    assert not {"cmr10", "STIXNonUnicode", "Last Resort High-Efficiency"} & set(found)
