"""Pictures with YOLO's text files."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.base.plain_yaml import parse_yaml
from pipeline.sources.recognise.paired import HEAD_BYTES, LOOKED_AT, paired
from pipeline.sources.recognise.tree import Guess, Tree

MAX_YAML_BYTES = 1 << 18
NAMES = ("classes.txt", "obj.names", "labels.txt", "names.txt")
"""How files of the classes' names are called."""
_LINE = re.compile(rb"\d+(\s+[01]?\.?\d+(e-\d+)?){4,}", re.IGNORECASE)


def recognise(tree: Tree) -> Guess | None:
    """Take a YAML file that names classes and pictures, or text files of boxes. ZoetropeError for numbers alone."""
    for name in sorted(tree.named(".yaml", ".yml"), key=lambda name: (name.count("/"), name)):
        if tree.sizes[name] <= MAX_YAML_BYTES and (said := _said(tree, name)):
            count = len(said["names"])
            return Guess(
                "detection", {"kind": "yolo", "path": tree.path(name)}, f"YOLO's boxes of {count:,} classes, by {name}"
            )
    files = [name for name in tree.named(".txt") if PurePosixPath(name).name not in NAMES]
    boxes = [name for name in files[: LOOKED_AT * 5] if _has_boxes(tree, name)]
    if 2 * len(boxes) <= len(files[: LOOKED_AT * 5]) or (folders := paired(tree, files)) is None:
        return None
    named = [name for name in tree.sizes if PurePosixPath(name).name in NAMES]
    if not named:
        raise ZoetropeError(
            f"{tree.path(folders[1])} has YOLO's text files, whose classes are numbers, and nothing names them. Write "
            f"a file {tree.path('classes.txt')} with a name a line, the one of class 0 first."
        )
    paths = {"path": tree.path(folders[0]), "labels": tree.path(folders[1]), "classes": tree.path(named[0])}
    return Guess("detection", {"kind": "yolo", **paths}, f"pictures with YOLO's text files, {len(files):,} of them")


def _said(tree: Tree, name: str) -> Mapping[str, Any] | None:
    try:
        said = parse_yaml((tree.root / name).read_text("utf-8"))
    except (ValueError, OSError):
        return None
    is_data = isinstance(said, dict) and isinstance(said.get("names"), list | dict) and said.get("train")
    return said if is_data else None


def _has_boxes(tree: Tree, name: str) -> bool:
    """Tell whether a file's first lines are a class and at least four shares."""
    with (tree.root / name).open("rb") as file:
        head = file.read(HEAD_BYTES)
    lines = [line.strip() for line in head.splitlines()]
    whole = [line for line in (lines[:-1] if len(head) == HEAD_BYTES else lines) if line]
    return bool(whole) and all(_LINE.fullmatch(line) for line in whole)
