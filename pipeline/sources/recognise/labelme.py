"""Pictures with LabelMe's JSON files."""

from pipeline.sources.recognise.paired import begins, paired
from pipeline.sources.recognise.tree import Guess, Tree


def recognise(tree: Tree) -> Guess | None:
    """Take JSON files of shapes, whose names are those of pictures."""
    notes = begins(tree, tree.named(".json"), b'"shapes"')
    folders = paired(tree, notes) if notes else None
    if folders is None:
        return None
    source = {"kind": "labelme", "path": tree.path(folders[0])}
    if folders[1] != folders[0]:
        source["annotations"] = tree.path(folders[1])
    return Guess("detection", source, f"pictures with a JSON file of LabelMe each, {len(notes):,} of them")
