"""Names for the values of masks: a list of classes that lies near them, else numbers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.decode.values import COLOUR, IGNORED, MAX_CLASSES, Values
from pipeline.recipe.sources import ImagesSource
from pipeline.sources.listing import Masks
from pipeline.sources.masks import MAX_FILE_BYTES, masks_of
from pipeline.sources.recognise import Tree
from pipeline.sources.rows import Row

LISTS = frozenset(
    {"classes", "class_names", "class_dict", "label_colors", "label_names", "labels", "labelmap", "names", "codes"}
)
"""What files are called that name the classes of masks, without their extensions: .txt, .csv or .json."""
VOID = frozenset({"void", "unlabeled", "unlabelled", "unlabeled_area", "ignore", "ignored", "unknown"})
SHOWN = 20


def named_values(tree: Tree, source: Mapping[str, Any], rows: Sequence[Row]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return `classes` and `ignore` for the values that masks of a sample have, and what to say of these.

    ZoetropeError for colours that no list names, and for more values than a mask can have classes.
    """
    pixels: Counter[int] = Counter()
    for row in rows:
        pixels.update(row.get("values", {}))
    if not pixels:
        raise ZoetropeError(f"{tree.root}: none of the masks that were looked at can be read.")
    for path, masks in _lists(tree):
        there = _as_listed(pixels, masks)
        left = sorted(there - masks.values.of.keys() - ({IGNORED} if not masks.values.colours else set()))
        known = len(there & masks.values.of.keys())
        if known > 1 and (not left or (len(left) == 1 and not masks.values.colours)):
            void = [name for name in masks.classes if name and name.lower() in VOID]
            ignore = [*left, *void]
            said = f"the masks' classes are named by {PurePosixPath(path).name}"
            names = {"classes": path} | ({"ignore": ignore} if ignore else {})
            return names, (f"{said}; ignored: {', '.join(map(str, ignore))}" if ignore else said,)
    if any(value & COLOUR for value in pixels):
        raise _unnamed_colours(tree, pixels)
    return _numbered(tree, pixels)


def _as_listed(pixels: Counter[int], masks: Masks) -> set[int]:
    """Return the values as a list writes them; of a list of colours the colours alone."""
    if not masks.values.colours:
        return set(pixels)
    return {value & ~COLOUR for value in pixels if value & COLOUR}


def _numbered(tree: Tree, pixels: Counter[int]) -> tuple[dict[str, Any], tuple[str, ...]]:
    counted = sorted(value for value in pixels if value != IGNORED or len(pixels) == 2)
    if len(counted) > MAX_CLASSES:
        raise ZoetropeError(
            f"{tree.root}: the masks have {len(pixels):,} values. Where they number objects, call their folder "
            "instances/; where they are classes, at most 255 are possible."
        )
    if len(counted) == 2:
        names = {counted[0]: "background", counted[1]: "object"}
    else:
        names = {value: f"class-{value}" for value in counted}
        if pixels[0] == max(pixels.values()):
            names[0] = "background"
    said = "nothing names the masks' values: change the names in data.source.classes, and list in ignore what is void"
    return {"classes": names}, (said,)


def _lists(tree: Tree) -> Iterator[tuple[str, Masks]]:
    """Yield the lists of classes in the tree that can be read, those that lie highest first."""
    names = [name for name in tree.named(".txt", ".csv", ".json") if PurePosixPath(name).stem.lower() in LISTS]
    for name in sorted(names, key=lambda name: (name.count("/"), name)):
        if tree.sizes[name] <= MAX_FILE_BYTES:
            try:
                yield tree.path(name), masks_of(ImagesSource(kind="images", path="", classes=tree.path(name)))
            except ZoetropeError:
                continue


def _unnamed_colours(tree: Tree, pixels: Counter[int]) -> ZoetropeError:
    colours = Values({}, colours=None)
    shown = sorted(pixels)[:SHOWN]
    lines = [f"  class-{i}, {', '.join(colours.written(value).split())}" for i, value in enumerate(shown)]
    more = [f"  and {len(pixels) - SHOWN:,} more"] if len(pixels) > SHOWN else []
    head = f"{tree.root}: the masks are colours, and no list names them. Write {tree.path('classes.txt')}:"
    return ZoetropeError("\n".join([head, *lines, *more]))
