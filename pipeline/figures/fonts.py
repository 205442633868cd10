"""Names in any script: fonts of this machine that have their letters, and what is drawn where none has."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache, lru_cache

import matplotlib
from matplotlib import font_manager
from PIL import ImageFont

from pipeline.base.visible import visible

FIRST = "DejaVu Sans"
"""Comes with matplotlib, so that figures look alike everywhere; Latin, Greek, Cyrillic, Arabic and many signs."""


def families(text: str) -> list[str]:
    """Find font families that together have the letters of `text`, as far as this machine's do; the usual one first."""
    return [FIRST, *_cover(frozenset(text))[0]]


def drawing_font(text: str, size_px: int) -> ImageFont.FreeTypeFont:
    """Load a font for drawing `text` into a picture with Pillow, which takes one alone: the last that is needed."""
    return _loaded(families("".join(sorted(set(text))))[-1], size_px)


def class_names(classes: Sequence[str]) -> list[str]:
    """Return names of classes as they can be drawn: "class 3" where no font has all letters of the name of class 3."""
    names = [visible(name) for name in classes]
    lacking = _cover(frozenset().union(*names))[1]
    return [name if lacking.isdisjoint(name) else f"class {i}" for i, name in enumerate(names)]


def drawable(text: str) -> str:
    r"""Return a line with escapes, such as \u732b, for what cannot be drawn."""
    text = visible(text)
    lacking = _cover(frozenset(text))[1]
    return "".join(char.encode("unicode_escape").decode() if char in lacking else char for char in text)


@lru_cache(64)
def _loaded(family: str, size_px: int) -> ImageFont.FreeTypeFont:
    path = font_manager.findfont(font_manager.FontProperties(family=[family]))
    return ImageFont.truetype(path, size_px)


@lru_cache(64)
def _cover(chars: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the families that are needed beside the first, and the characters that none has."""
    needed, lacking = [], chars - {"\n"} - _has(FIRST, chars)
    for family in _installed():
        if not lacking:
            break
        if found := _has(family, lacking):
            needed.append(family)
            lacking -= found
    return tuple(needed), lacking


def _has(family: str, chars: Iterable[str]) -> frozenset[str]:
    with suppress(OSError, RuntimeError, ValueError):  # a font that FreeType cannot read is as good as none
        found = font_manager.findfont(font_manager.FontProperties(family=[family]), fallback_to_default=False)
        font = font_manager.get_font(found)
        return frozenset(char for char in chars if font.get_char_index(ord(char)))
    return frozenset()


@cache
def _installed() -> list[str]:
    """List the families of this machine, those of Noto first, in an order that no file system decides.

    Without matplotlib's own, which are for formulas, and without fonts that have a box for every character.
    """
    own = matplotlib.get_data_path()
    names = {
        entry.name
        for entry in font_manager.fontManager.ttflist
        if (entry.style, entry.weight, entry.stretch) == ("normal", 400, "normal") and not entry.fname.startswith(own)
    }
    letters = {name for name in names if "lastresort" not in name.replace(" ", "").lower()}
    return sorted(letters, key=lambda name: (not name.startswith("Noto Sans"), name))
