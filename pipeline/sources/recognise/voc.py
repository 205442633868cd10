"""Pictures with Pascal VOC's XML files."""

from pathlib import PurePosixPath
from typing import Any

from pipeline.sources.images import SPLIT
from pipeline.sources.recognise.paired import begins, paired
from pipeline.sources.recognise.tree import Guess, Tree


def recognise(tree: Tree) -> Guess | None:
    """Take XML files of <annotation>, whose names are those of pictures."""
    notes = begins(tree, tree.named(".xml"), b"<annotation>", b"<annotation ")
    folders = paired(tree, notes) if notes else None
    if folders is None:
        return None
    source: dict[str, Any] = {"kind": "voc", "path": tree.path(folders[0]), "annotations": tree.path(folders[1])}
    if SPLIT not in folders[0] and (sets := _sets(tree)):
        source["sets"] = tree.path(sets)
    return Guess("detection", source, f"pictures with an XML file of VOC each, {len(notes):,} of them")


def _sets(tree: Tree) -> str | None:
    """Return the lists of train and val: `ImageSets/Main/{split}.txt`, or others of these names beside each other."""
    lists = [name for name in tree.named(".txt") if PurePosixPath(name).name == "train.txt"]
    both = [name for name in lists if f"{name.removesuffix('train.txt')}val.txt" in tree.sizes]
    best = min(both, key=lambda name: ("ImageSets/Main" not in name, len(name)), default=None)
    return None if best is None else f"{best.removesuffix('train.txt')}{SPLIT}.txt"
