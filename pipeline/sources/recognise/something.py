"""Something-Something, and Jester: labels, train and validation as JSON (v2) or CSV (v1), and videos or folders of
frames.
"""

from pipeline.sources.recognise.annotated import videos_or_frames
from pipeline.sources.recognise.tree import Guess, Tree, by_folder

PARTS = ("labels", "train", "validation")
FPS = 12
"""Of the frames of v1 and of Jester, and of the videos of v2."""


def recognise(tree: Tree) -> Guess | None:
    """Take a folder with files that end in labels, train and validation, and videos or pictures."""
    for suffix in (".json", ".csv"):
        for folder, names in by_folder(tree.named(suffix)).items():
            if all(any(name.endswith(part + suffix) for name in names) for part in PARTS):
                is_jester = any("jester" in name.rpartition("/")[2].lower() for name in names)
                kind, title = ("jester", "Jester") if is_jester else ("something-something", "Something-Something")
                source = {"kind": kind, "annotations": tree.path(folder)}
                return videos_or_frames(tree, source, f"{title} by its files labels, train and validation", FPS)
    return None
