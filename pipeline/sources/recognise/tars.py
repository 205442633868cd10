"""WebDataset tars."""

import fnmatch
import re
from itertools import islice
from pathlib import Path

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from pipeline.shards.tars import key_and_extension, members
from pipeline.sources.recognise.tree import Guess, Tree, common_start

LOOKED_AT = 1000
"""Members of the first tar."""
LABELS = ("cls", "txt", "label", "class")
_VAL = re.compile(r"(^|[^a-z])(val|valid|validation|dev)([^a-z]|$)")
_OTHER = re.compile(r"(^|[^a-z])(test|testing)([^a-z]|$)")


def recognise(tree: Tree) -> Guess | None:
    """Take tars whose members are pictures or videos, and beside each a label. ZoetropeError for none that is known."""
    tars = tree.named(".tar")
    if not tars or tree.images or tree.videos:
        return None
    tests = [name for name in tars if _OTHER.search(name.lower())]
    vals = [name for name in tars if _VAL.search(name.lower())]
    trains = [name for name in tars if name not in {*tests, *vals}]
    if not trains:
        return None
    extensions = _extensions(tree.root / trains[0])
    dotted = {f".{one.rpartition('.')[2]}": one for one in extensions}
    modality = "video" if dotted.keys() & (VIDEO_EXTENSIONS - IMAGE_EXTENSIONS) else "image"
    if not dotted.keys() & (VIDEO_EXTENSIONS | IMAGE_EXTENSIONS):
        return None
    label = next((one for one in LABELS if one in extensions), "json.label" if "json" in extensions else None)
    if label is None:
        raise ZoetropeError(
            f"{tree.path(trains[0])} has samples of {', '.join(sorted(extensions))} and no label among them: it should "
            "have a member .cls, .txt or .json a sample. A tar of class folders is unpacked first."
        )
    source = {
        "kind": "webdataset",
        "urls": _pattern(tree, trains, tars),
        **({"val_urls": _pattern(tree, vals, tars)} if vals else {}),
        **({"test_urls": _pattern(tree, tests, tars)} if tests else {}),
        **({"label": label} if label != "cls" else {}),
    }
    words = f"WebDataset tars, {len(tars):,} of them, with labels in .{label}"
    return Guess(f"{modality}-classification", source, words)


def _pattern(tree: Tree, names: list[str], tars: list[str]) -> str | list[str]:
    """Return a pattern of just these tars, such as train-*.tar; where there is none, all of them."""
    pattern = f"{common_start(names).rstrip('0123456789')}*.tar"
    if len(names) > 1 and fnmatch.filter(tars, pattern) == names and "[" not in tree.path(pattern):
        return tree.path(pattern)
    return [tree.path(name) for name in names]


def _extensions(path: Path) -> set[str]:
    """Return the extensions of the first members that are samples' files."""
    with path.open("rb") as file:
        named = [key_and_extension(one.name) for one in islice(members(file, str(path)), LOOKED_AT)]
    return {one[1] for one in named if one}
