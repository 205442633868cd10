"""Pictures with an annotation file each, of the same name: in which folders they lie."""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from pipeline.sources.images import SPLIT
from pipeline.sources.listing import SPELT
from pipeline.sources.recognise.tree import Tree, common_start

HEAD_BYTES = 4096
LOOKED_AT = 20
"""Files whose beginning is read to tell what they are."""

Folders = tuple[str, str]
"""Of the pictures and of their annotations, relative to the tree."""


def paired(tree: Tree, notes: Iterable[str]) -> Folders | None:
    """Return the folders of most pictures that have one of the files `notes`, with {split} where both have splits.

    None where no picture has one.
    """
    folders: dict[str, list[str]] = {}
    for image in tree.images:
        path = PurePosixPath(image)
        folders.setdefault(path.stem, []).append(_folder(path))
    counts: Counter[Folders] = Counter()
    for note in notes:
        path = PurePosixPath(note)
        if there := folders.get(path.stem):
            own = _folder(path)
            counts[max(there, key=lambda one: len(common_start([f"{one}/", f"{own}/"]))), own] += 1
    if not counts:
        return None
    (most, _) = counts.most_common(1)[0]
    return next((pattern for pair in counts if (pattern := _pattern(pair, counts))), most)


def _folder(path: PurePosixPath) -> str:
    return path.parent.as_posix() if path.parent.name else ""


def _pattern(pair: Folders, known: Iterable[Folders]) -> Folders | None:
    """Return the folders of train with {split}, where those of val are known, too."""
    for train in SPELT["train"]:
        for val in SPELT["val"]:
            if (_with(pair[0], train, val), _with(pair[1], train, val)) in {*known} - {pair}:
                return _with(pair[0], train, SPLIT), _with(pair[1], train, SPLIT)
    return None


def _with(folder: str, old: str, new: str) -> str:
    return "/".join(new if part == old else part for part in folder.split("/"))


def begins(tree: Tree, names: Iterable[str], *marks: bytes) -> list[str]:
    """Return the files whose beginning holds one of the marks; all of them where most of the first ones do."""
    every = list(names)
    first = every[:LOOKED_AT]
    found = []
    for name in first:
        with (tree.root / name).open("rb") as file:
            head = file.read(HEAD_BYTES)
        if any(mark in head for mark in marks):
            found.append(name)
    return every if 2 * len(found) > len(first) else found
