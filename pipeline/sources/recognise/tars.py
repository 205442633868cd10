"""WebDataset tars."""

import fnmatch
import json
import re
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from pipeline.shards.tars import Member, key_and_extension, members
from pipeline.sources.recognise.images import INSTANCES, MASKED
from pipeline.sources.recognise.tree import Guess, Tree, common_start

LOOKED_AT = 1000
"""Members of the first tar."""
LABELS = ("cls", "txt", "label", "class")
"""Members that hold a label."""
KEYS = ("label", "labels", "class", "classes", "category", "categories", "tag", "tags")
"""Keys of a JSON member that do."""
MAX_JSON_BYTES = 1 << 20
_VAL = re.compile(r"(^|[^a-z])(val|valid|validation|dev)([^a-z]|$)")
_OTHER = re.compile(r"(^|[^a-z])(test|testing)([^a-z]|$)")


def recognise(tree: Tree) -> Guess | None:
    """Take tars whose members are pictures or videos, and beside each a mask or a label. ZoetropeError for neither."""
    tars = tree.named(".tar")
    if not tars or tree.images or tree.videos:
        return None
    tests = [name for name in tars if _OTHER.search(name.lower())]
    vals = [name for name in tars if _VAL.search(name.lower())]
    trains = [name for name in tars if name not in {*tests, *vals}]
    if not trains:
        return None
    first = tree.root / trains[0]
    extensions = {extension for extension, _ in _members(first)}
    dotted = {f".{one.rpartition('.')[2]}": one for one in extensions}
    modality = "video" if dotted.keys() & (VIDEO_EXTENSIONS - IMAGE_EXTENSIONS) else "image"
    if not dotted.keys() & (VIDEO_EXTENSIONS | IMAGE_EXTENSIONS):
        return None
    source: dict[str, Any] = {
        "kind": "webdataset",
        "urls": _pattern(tree, trains, tars),
        **({"val_urls": _pattern(tree, vals, tars)} if vals else {}),
        **({"test_urls": _pattern(tree, tests, tars)} if tests else {}),
    }
    words = f"WebDataset tars, {len(tars):,} of them, with"
    if modality == "image" and (mask := _mask(extensions)):
        source |= {"extensions": _pictures(extensions - {mask}), "members": {"seg.png": mask}}
        return Guess("segmentation", source, f"{words} masks in .{mask}")
    label, several = _label(first)
    if label is None:
        raise ZoetropeError(
            f"{tree.path(trains[0])} has samples of {', '.join(sorted(extensions))} and no label among them: it should "
            "have a member .cls, .txt or .json a sample. A tar of class folders is unpacked first."
        )
    source |= {"label": label} if label != "cls" else {}
    return Guess(f"{modality}-{'multilabel' if several else 'classification'}", source, f"{words} labels in .{label}")


def _pattern(tree: Tree, names: list[str], tars: list[str]) -> str | list[str]:
    """Return a pattern of just these tars, such as train-*.tar; where there is none, all of them."""
    pattern = f"{common_start(names).rstrip('0123456789')}*.tar"
    if len(names) > 1 and fnmatch.filter(tars, pattern) == names and "[" not in tree.path(pattern):
        return tree.path(pattern)
    return [tree.path(name) for name in names]


def _mask(extensions: set[str]) -> str | None:
    """Return the extension of the masks: a PNG that is called so, or one beside another picture and no label."""
    pngs = sorted(one for one in extensions if one.rpartition(".")[2] == "png" and _pictures(extensions - {one}))
    named = [one for one in pngs if MASKED.search(one.removesuffix("png")) and not INSTANCES.search(one)]
    unlabelled = extensions.isdisjoint((*LABELS, "json"))
    return next(iter(named), "png" if "png" in pngs and unlabelled else None)


def _pictures(extensions: set[str]) -> list[str]:
    return sorted(one for one in extensions if f".{one}" in IMAGE_EXTENSIONS)


def _label(path: Path) -> tuple[str | None, bool]:
    """Return the member of the labels, or the key of the JSON member, and whether a sample has several."""
    found = _members(path)
    extensions = {extension for extension, _ in found}
    if by_name := next((one for one in LABELS if one in extensions), None):
        return by_name, False
    contents = [content for extension, member in found if extension == "json" and (content := _json(path, member))]
    keys = [key for key in KEYS if any(key in content for content in contents)]
    if not keys:
        return "json.label" if "json" in extensions else None, False
    values = [content.get(keys[0]) for content in contents]
    return f"json.{keys[0]}", any(isinstance(value, list) and len(value) != 1 for value in values)


def _json(path: Path, member: Member) -> dict[str, Any] | None:
    if member.length > MAX_JSON_BYTES:
        return None
    with path.open("rb") as file:
        file.seek(member.offset)
        try:
            content = json.loads(file.read(member.length))
        except (ValueError, RecursionError):
            return None
    return content if isinstance(content, dict) else None


def _members(path: Path) -> list[tuple[str, Member]]:
    """Return the first members that are samples' files, with their extensions."""
    with path.open("rb") as file:
        first = [(key_and_extension(one.name), one) for one in islice(members(file, str(path)), LOOKED_AT)]
    return [(parts[1], member) for parts, member in first if parts]
