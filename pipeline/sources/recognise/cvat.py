"""Pictures with CVAT's XML file."""

from pathlib import PurePosixPath

from pipeline.sources.recognise.paired import HEAD_BYTES
from pipeline.sources.recognise.tree import Guess, Tree, by_folder, common_start


def recognise(tree: Tree) -> Guess | None:
    """Take an XML file of <annotations> beside or above the pictures."""
    for name in sorted(tree.named(".xml"), key=lambda name: (name.count("/"), name)):
        with (tree.root / name).open("rb") as file:
            head = file.read(HEAD_BYTES)
        if b"<annotations>" in head and tree.images:
            folder = common_start(f"{one}/" if one else "" for one in by_folder(tree.images)).rpartition("/")[0]
            source = {"kind": "cvat", "path": tree.path(folder), "annotations": tree.path(name)}
            return Guess("detection", source, f"pictures with CVAT's file {PurePosixPath(name).name}")
    return None
