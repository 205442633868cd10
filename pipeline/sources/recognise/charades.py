"""Charades: its lists of videos with their actions, and videos or folders of frames."""

from pipeline.sources.recognise.annotated import videos_or_frames
from pipeline.sources.recognise.tree import Guess, Tree, by_folder

FPS = 24
"""Of the frames that are published."""
HEAD_BYTES = 4096


def recognise(tree: Tree) -> Guess | None:
    """Take a folder with files that end in _classes.txt, _train.csv and _test.csv, of which these name actions."""
    for folder, names in by_folder(tree.named(".csv", ".txt")).items():
        train = next((name for name in names if name.endswith("_train.csv")), None)
        others = all(any(name.endswith(end) for name in names) for end in ("_classes.txt", "_test.csv"))
        if train and others and _has_actions(tree, train):
            source = {"kind": "charades", "annotations": tree.path(folder)}
            return videos_or_frames(tree, source, "Charades by its lists train and test", FPS, "video-multilabel")
    return None


def _has_actions(tree: Tree, name: str) -> bool:
    with (tree.root / name).open("rb") as file:
        head = file.read(HEAD_BYTES).partition(b"\n")[0].decode("utf-8-sig", "replace")
    return {"id", "actions", "length"} <= {column.strip().strip('"') for column in head.split(",")}
