"""Pictures with COCO's annotations."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.sources.images import SPLIT
from pipeline.sources.listing import SPELT
from pipeline.sources.recognise.tree import Guess, Tree

HEAD_BYTES = 1 << 16
MAX_BYTES = 64 << 20
"""Of the annotation file that is read to tell which pictures it names; the smallest one is taken."""
KEYS = ("images", "annotations", "categories")


def recognise(tree: Tree) -> Guess | None:
    """Take a JSON file with outlines of objects in pictures that are there, else one with boxes."""
    files = {name: content for name in _candidates(tree) if (content := _read(tree.root / name))}
    boxes = [name for name, content in files.items() if not _outlined(content)]
    if any(masked in name for name in tree.images for masked in ("mask", "instance")):
        boxes, files = [], {name: content for name, content in files.items() if name not in boxes}
    for name, content in sorted(files.items(), key=lambda one: one[0] in boxes):
        if (folder := _folder(tree, content)) is None:
            continue
        annotations, folder = _with_split(tree, name, folder)
        source = {"kind": "coco", "path": tree.path(folder), "annotations": tree.path(annotations)}
        task, what = ("detection", "boxes") if name in boxes else ("segmentation", "outlines")
        count = len(content["categories"])
        notes = () if name in boxes else ("to learn their boxes, set task.kind to detection",)
        return Guess(task, source, f"pictures with COCO's {what} of {count:,} categories, in {name}", notes)
    return None


def _candidates(tree: Tree) -> list[str]:
    """Return the JSON files that begin as COCO's do, the smallest first: what names keypoints or panoptic maps last."""
    found = []
    for name in tree.named(".json"):
        if tree.sizes[name] <= MAX_BYTES:
            with (tree.root / name).open("rb") as file:
                head = file.read(HEAD_BYTES)
            if any(f'"{key}"'.encode() in head for key in KEYS):
                found.append(name)
    return sorted(found, key=lambda name: ("instances" not in name, "keypoint" in name, tree.sizes[name], name))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError):
        return None
    if not isinstance(content, dict) or any(not isinstance(content.get(key), list) for key in KEYS):
        return None
    return content if all(isinstance(one, dict) for key in KEYS for one in content[key]) else None


def _outlined(content: dict[str, Any]) -> bool:
    """Tell whether every annotation has a segmentation, as our source asks for."""
    return bool(content["annotations"]) and all(one.get("segmentation") for one in content["annotations"])


def _folder(tree: Tree, content: dict[str, Any]) -> str | None:
    """Return the folder in which the pictures' names lead to files; None where there is none."""
    names = {name for one in content["images"] if isinstance(name := one.get("file_name"), str)}
    first = min(names, default=None)
    for path in tree.images if first else ():
        if path == first or path.endswith(f"/{first}"):
            return str(PurePosixPath(path[: len(path) - len(str(first))] or ".")).removeprefix(".")
    return None


def _with_split(tree: Tree, name: str, folder: str) -> tuple[str, str]:
    """Write {split} in both paths, where there are annotations and pictures of both splits."""
    pairs = [(train, val) for train in SPELT["train"] for val in SPELT["val"]]
    for here, there in [*pairs, *((val, train) for train, val in pairs)]:
        pictures = folder.replace(here, there)
        if (
            here in name
            and name.replace(here, there) in tree.sizes
            and any(image.startswith(f"{pictures}/") for image in tree.images)
        ):
            return name.replace(here, SPLIT), folder.replace(here, SPLIT)
    return name, folder
