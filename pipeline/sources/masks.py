"""What the masks of a source mean: its classes by values or colours, and how many pixels have each."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

from pydantic import TypeAdapter

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.decode.limits import BadSample
from pipeline.decode.values import IGNORED, MAX_CLASSES, OTHERS, Values, packed
from pipeline.recipe.sources import MaskClasses
from pipeline.sources.labels import class_name
from pipeline.sources.listing import SPLITS, Masks, splits_in
from pipeline.sources.path_or_url import read_capped
from pipeline.sources.rows import Row

MAX_FILE_BYTES = 1 << 20
MAX_VALUE = 65_535
FOREGROUND = ("background", "object")
_COLOUR_FIRST = re.compile(r"(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(.*\S)")
_NAME_FIRST = re.compile(r"(.*?\S)[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})")
_NUMBERED = re.compile(r"(\d+)[\s,;:]+(.*\S)")
_HEADING = re.compile(r"\S+[\s,;]+(r[\s,;]+g[\s,;]+b|red[\s,;]+green[\s,;]+blue)", re.IGNORECASE)

Named = list[tuple[int, str]]
"""Values and the names of their classes, in the order of the classes."""


MASKS = "masks.json"
"""What the values of each source's masks mean, by the numbers of classes."""
_MASKS = TypeAdapter(dict[str, Values])


def write(path: Path, values: Mapping[str, Values]) -> None:
    """Write what the values of each source's masks mean."""
    path.write_bytes(_MASKS.dump_json(dict(values), indent=1))


def read(path: Path) -> dict[str, Values]:
    """Read what `write` wrote."""
    return _MASKS.validate_json(path.read_bytes())


class ValueRow(TypedDict):
    """A line of `values.jsonl`: a value of a source's masks, its class, its pixels, and the pictures that have it."""

    source: str
    value: str
    name: str | None
    pixels: int
    train: int
    val: int
    test: NotRequired[int]


def masks_of(source: MaskClasses) -> Masks:
    """Read what a source's section says of its masks. ZoetropeError where that is wrong."""
    if source.classes is None:
        return Masks((), Values({}, colours=None))
    named, colours = _classes(source.classes)
    of = {} if colours else {IGNORED: None}
    return _masks(of | dict(named), named, source.ignore, colours)


def foreground_of(source: MaskClasses) -> Masks:
    """Return the masks that instance maps give: two classes, what has no object and what has one."""
    names: Sequence[str] = FOREGROUND
    if source.classes is not None:
        named, _ = _classes(source.classes)
        names = [name for _, name in named]
    if len(names) != 2 or names[0] == names[1]:
        raise _error("classes", f"instance maps have two classes, such as [background, object], not {len(names)}")
    of = {0: 0} | {_value(value, "ignore"): IGNORED for value in source.ignore}
    return Masks(tuple(names), Values(of, rest=1))


def categories(names: Iterable[str], background: str | None) -> Masks:
    """Return the masks that are drawn of annotations: 0 is the background, i the i-th category."""
    return _masks(
        {0: background} | dict(enumerate(names, 1)), [(0, background)] if background else [], (), False, names
    )


def _masks(
    of: Mapping[int, str | None],
    named: Iterable[tuple[int, str]],
    ignore: Iterable[int | str],
    colours: bool,
    more: Iterable[str] = (),
) -> Masks:
    meaning = dict(of)
    known = {name for name in of.values() if name}
    for one in ignore:
        if isinstance(one, str) and one in known:
            meaning |= {value: None for value, name in of.items() if name == one}
        elif isinstance(one, str):
            raise ZoetropeError(f"data.source.ignore: {unknown('class', one, known)}")
        elif colours:
            raise _error("ignore", f"{one}: name colours that do not count in classes, and here by their names")
        else:
            meaning[_value(one, "ignore")] = None
    left = {name for name in meaning.values() if name}
    classes = tuple(name for name in dict.fromkeys([name for _, name in named] + [*more]) if name in left)
    if len(classes) > MAX_CLASSES:
        raise _error("classes", f"{len(classes)} classes are more than the {MAX_CLASSES} that a mask can have")
    numbers = {name: number for number, name in enumerate(classes)}
    return Masks(classes, Values({v: numbers[name] if name else IGNORED for v, name in meaning.items()}, colours))


def _classes(said: str | Sequence[str] | Mapping[int, str]) -> tuple[Named, bool]:
    """Values and names as the recipe or its file says; whether values are colours."""
    if isinstance(said, str):
        named, colours = _file(said)
    else:
        named, colours = _pairs(said), False
    if not named:
        raise _error("classes", "names no class")
    try:
        checked = [(value if colours else _value(value, "classes"), class_name(name)) for value, name in named]
    except BadSample as error:
        raise _error("classes", error.reason) from error
    if twice := [value for value, count in Counter(value for value, _ in checked).items() if count > 1]:
        raise _error("classes", f"{Values({}, colours=colours).written(twice[0])} stands there twice")
    if colours is False and isinstance(said, list) and len({name for _, name in checked}) < len(checked):
        name = next(name for name, count in Counter(name for _, name in checked).items() if count > 1)
        raise _error("classes", f"{name!r} stands there twice")
    return checked, colours


def _pairs(said: Sequence[str] | Mapping[int, str]) -> Named:
    # By value: an order of keys does not outlive being stored.
    return sorted(said.items()) if isinstance(said, Mapping) else list(enumerate(said))


def _file(path: str) -> tuple[Named, bool]:
    content = read_capped(path, MAX_FILE_BYTES, "data.source.classes: the file")
    try:
        text = content.decode("utf-8-sig")
        if path.endswith(".json"):
            said = json.loads(text)
            return _pairs(said if isinstance(said, list) else {int(value): name for value, name in said.items()}), False
    except (ValueError, AttributeError, RecursionError):
        what = (
            "a list of names or an object of values and names, in JSON" if path.endswith(".json") else "text in UTF-8"
        )
        raise _error("classes", f"{path} is not {what}") from None
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if lines and _HEADING.fullmatch(lines[0]):
        del lines[0]
    coloured = [_colour(line) for line in lines]
    if 2 * sum(one is not None for one in coloured) > len(lines):
        _check_lines(path, lines, coloured, "name, red, green, blue")
        return [one for one in coloured if one], True
    numbered = [(int(found[1]), found[2]) if (found := _NUMBERED.fullmatch(line)) else None for line in lines]
    if 2 * sum(one is not None for one in numbered) > len(lines):
        _check_lines(path, lines, numbered, "value name")
        return [one for one in numbered if one], False
    return list(enumerate(lines)), False


def _colour(line: str) -> tuple[int, str] | None:
    if found := _COLOUR_FIRST.fullmatch(line):
        *levels, name = found.groups()
    elif found := _NAME_FIRST.fullmatch(line):
        name, *levels = found.groups()
    else:
        return None
    red, green, blue = map(int, levels)
    return (packed(red, green, blue), name) if max(red, green, blue) <= 255 else None


def _check_lines(path: str, lines: Sequence[str], read: Sequence[object], form: str) -> None:
    if wrong := [line for line, one in zip(lines, read, strict=True) if one is None]:
        raise _error("classes", f"{path} has the line {wrong[0]!r}, and others are `{form}`")


def _value(value: int | str, key: str) -> int:
    if not isinstance(value, int) or not 0 <= value <= MAX_VALUE:
        raise _error(key, f"{value!r} is no value of a mask: a number from 0 to {MAX_VALUE:,}")
    return value


def _error(key: str, what: str) -> ZoetropeError:
    return ZoetropeError(f"data.source.{key}: {what}.")


@dataclass(frozen=True)
class Tally:
    """The pixels of each value of each source, and how many pictures of a split have it."""

    pixels: Counter[tuple[str, int]]
    pictures: Counter[tuple[str, int, str]]

    def rows(self, masks: Mapping[str, Masks]) -> list[ValueRow]:
        """By source and value."""
        splits = splits_in({split for _, _, split in self.pictures})
        return [
            {
                "source": source,
                "value": masks[source].values.written(value),
                "name": masks[source].name(value),
                "pixels": pixels,
                **{split: self.pictures[source, value, split] for split in splits},  # type: ignore[typeddict-item]
            }
            for (source, value), pixels in sorted(self.pixels.items(), key=_place)
        ]


def _place(counted: tuple[tuple[str, int], int]) -> tuple[str, bool, int]:
    """By source and value; what is none of the values comes last."""
    (source, value), _ = counted
    return source, value == OTHERS, value


def tally(rows: Iterable[Row], masks: Mapping[str, Masks], numbers: Mapping[str, int], what: str = "pixels") -> Tally:
    """Count the values of rows' masks, and put the classes that these have into `classes` of each row.

    what: what has these values: pixels of masks, or objects, whose classes' numbers they are

    `values` of a row is taken out; of an adopted tar's its `amounts` are made. ZoetropeError, with all values, where a
    source does not say what they mean.
    """
    found = Tally(Counter(), Counter())
    for row in rows:
        source = row.get("source", "")
        values = row.pop("values", {})
        for value, pixels in values.items():
            found.pixels[source, value] += pixels
            found.pictures[source, value, row["split"]] += 1
        amounts: Counter[str] = Counter()
        for value, pixels in values.items():
            if name := masks[source].name(value):
                amounts[name] += pixels
        row["classes"] = tuple(sorted(amounts))
        if "tar" in row:
            row["amounts"] = {str(numbers[name]): pixels for name, pixels in amounts.items()}
    for source, of in masks.items():
        if not of.values.of:
            raise _unknown(source, [row for row in found.rows(masks) if row["source"] == source], what)
    return found


def _unknown(source: str, rows: Sequence[ValueRow], what: str) -> ZoetropeError:
    most = sorted(rows, key=lambda row: -row["pixels"])[:SHOWN]
    most = [row for row in rows if row in most]
    more = [f"  and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    where = f"data.source.of.{source}.classes" if source else "data.source.classes"
    if what == "objects":
        how = f"Name the classes in their order, {where}=[name of 0, name of 1, ...], or by number, {{1: car, 3: bus}}"
    elif any(" " in row["value"] for row in rows):
        how = f"Name in {where} a file with a line `name, red, green, blue` a class, the first one first"
    else:
        how = (
            f"Name the classes in their order, {where}=[name of 0, name of 1, ...], or by value, "
            "{0: background, 255: object}; what does not count goes into ignore: [11]. If they number objects, name "
            "their folder in data.source.instances"
        )
    return ZoetropeError(
        "\n".join(
            [
                f"{where}: is not set, and the {'masks' if what == 'pixels' else what} have these values:",
                *lines(most, rows, what),
                *more,
                f"{how}.",
            ]
        )
    )


SHOWN = 40


def _arrow(row: ValueRow, rows: Sequence[ValueRow]) -> str:
    """Name its class, where any of the values has one."""
    return f" -> {row['name'] or 'ignored'}" if any(one["name"] for one in rows) else ""


def lines(shown: Sequence[ValueRow], rows: Sequence[ValueRow], what: str = "pixels") -> list[str]:
    """Write a line a value: its class, its share of the pixels of all `rows`, and in how many pictures it is.

    what: as of `tally`
    """
    total = Counter[str]()
    for row in rows:
        total[row["source"]] += row["pixels"]
    return [
        f"  {row['source'] and row['source'] + ': '}{row['value']}{_arrow(row, rows)}: "
        f"{row['pixels'] / total[row['source']]:.2%} of the {what}, in "
        f"{'+'.join(f'{row[split]:,}' for split in SPLITS if split in row)} pictures"  # type: ignore[literal-required]
        for row in shown
    ]
