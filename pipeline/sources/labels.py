"""What the classes of any source are called, and in which order they are numbered."""

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from pipeline.decode.limits import BadSample

MAX_NAME = 255
"""Characters of a class's name: as many as a folder's name may have bytes."""
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_WHOLE = re.compile(r"-?\d+(\.0)?")
_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Cs", "Zl", "Zp"})
"""Categories of Unicode without a picture: control characters, marks of direction, ends of lines, halves of pairs."""
_JOINERS = frozenset("\u200c\u200d")
"""Of category Cf, too, and part of how Persian, Hindi and emojis are spelt."""


def class_name(value: Any) -> str:
    """Return the name of the class that a label means: text without blanks around it, in the form NFC, or a whole
    number.

    A number is written without a point, however it is stored: 1.0 is "1". BadSample for what is neither, for empty
    text, and for text that does not print.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or value != value:  # NaN, as tables write a gap
        raise BadSample("its label is empty")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadSample(f"its label {value!r} is neither text nor a whole number")
    name = unicodedata.normalize("NFC", str(value).strip())
    if not name:
        raise BadSample("its label is empty")
    if len(name) > MAX_NAME:
        raise BadSample(f"its label {name[:40]!r}... has {len(name):,} characters, and may have {MAX_NAME}")
    if not name.isprintable() and any(unicodedata.category(c) in _UNSEEN and c not in _JOINERS for c in name):
        raise BadSample(f"its label {name!r} has a character that does not print")
    return name


def meaning(name: str) -> Decimal | str:
    """Return what a class's name means: equal for names of one class, as 1, 01 and 1.0 are one number.

    Of numbers with a point only those with one zero behind it are whole ones, as tables of floats write them: 1.1 and
    1.10 may be sections of a book.
    """
    return Decimal(name) if _WHOLE.fullmatch(name) else name


def spellings(names: Iterable[str]) -> dict[str, str]:
    """Map each name -> the name of its class: where a number is spelt in several ways, the shortest of them."""
    shortest: dict[Decimal | str, str] = {}
    known = sorted(set(names), key=lambda name: (len(name), name))
    for name in known:
        shortest.setdefault(meaning(name), name)
    return {name: shortest[meaning(name)] for name in known}


def class_order(names: Iterable[str]) -> list[str]:
    """Return names of classes in the order of their numbers: numbers by value, then the others by the alphabet."""
    return sorted(set(names), key=_place)


def _place(name: str) -> tuple[bool, Decimal, str]:
    is_number = bool(_NUMBER.fullmatch(name))
    return not is_number, Decimal(name) if is_number else Decimal(), name
