"""Kinetics: CSV files with youtube_id, time_start and time_end, and videos called by these."""

from pipeline.sources.kinetics import COLUMNS
from pipeline.sources.recognise.tree import Guess, Tree, by_folder, common_folder

HEAD_BYTES = 4096
NAMES = ("train", "val")
"""What the files are called that name train and val: train.csv, validate.csv, kinetics_val.csv."""


def recognise(tree: Tree) -> Guess | None:
    """Take CSV files with Kinetics' columns, of train and of val or of both together, and videos."""
    tables = [name for name in tree.named(".csv") if _has_columns(tree, name)]
    if not (tables and tree.videos):
        return None
    folder, names = max(by_folder(tables).items(), key=lambda one: len(one[1]))
    annotations = names[0] if len(names) == 1 else folder
    source = {
        "kind": "kinetics",
        "path": tree.path(common_folder(tree.videos)),
        "annotations": tree.path(annotations),
    }
    words = f"Kinetics by {', '.join(name.rpartition('/')[2] for name in names)}"
    return Guess("video-classification", source, words)


def _has_columns(tree: Tree, name: str) -> bool:
    with (tree.root / name).open("rb") as file:
        head = file.read(HEAD_BYTES).partition(b"\n")[0].decode("utf-8-sig", "replace")
    return set(COLUMNS) <= {column.strip().strip('"') for column in head.split(",")}
