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
HEAD = (
    "# The colours that the masks have: name, red, green, blue. The order of the lines is that of the classes.",
    "# Name them; lines of one name are one class. What does not count goes into data.source.ignore, by its name.",
)
VOID = frozenset({"void", "unlabeled", "unlabelled", "unlabeled_area", "ignore", "ignored", "unknown"})


class UnnamedColours(ZoetropeError):
    """Masks are colours, and nothing names these.

    text: a file of classes with all of them, for a person to name
    """

    def __init__(self, tree: Tree, colours: Sequence[int]) -> None:
        super().__init__(f"{tree.root}: the masks are {len(colours):,} colours, and no list names them.")
        written = Values({}, colours=True)
        lines = [f"class_{i}, {', '.join(written.written(value).split())}" for i, value in enumerate(colours)]
        self.text = "\n".join([*HEAD, *lines]) + "\n"


def named_values(tree: Tree, source: Mapping[str, Any], rows: Sequence[Row]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return `classes` and `ignore` for the values that masks of a sample have, and what to say of these.

    UnnamedColours for colours that no list names; ZoetropeError for more values than a mask can have classes.
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
        raise _unnamed(tree, pixels)
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


def _unnamed(tree: Tree, pixels: Counter[int]) -> ZoetropeError:
    if len(pixels) > MAX_CLASSES:
        return ZoetropeError(
            f"{tree.root}: the masks have {len(pixels):,} colours, and at most {MAX_CLASSES} are classes. Pictures "
            "that were resized or stored as JPEG have colours between those of their classes: take the masks as they "
            "were drawn."
        )
    return UnnamedColours(tree, sorted(value & ~COLOUR for value in pixels if value & COLOUR))
