"""Diving48: its lists and its vocabulary, and videos or folders of frames."""

from pipeline.sources.recognise.annotated import videos_or_frames
from pipeline.sources.recognise.tree import Guess, Tree, by_folder

ENDS = ("vocab.json", "V2_train.json", "V2_test.json")
FPS = 30


def recognise(tree: Tree) -> Guess | None:
    """Take a folder with files that end in vocab.json, V2_train.json and V2_test.json, and videos or pictures."""
    for folder, names in by_folder(tree.named(".json")).items():
        if all(any(name.endswith(end) for name in names) for end in ENDS):
            source = {"kind": "diving48", "annotations": tree.path(folder)}
            return videos_or_frames(tree, source, "Diving48 by its lists V2_train and V2_test", FPS)
    return None
