"""Something-Something: labels, train and validation as JSON (v2) or CSV (v1), and videos or folders of frames."""

from pipeline.sources.recognise.tree import Guess, Tree, by_folder, common_folder, common_start

PARTS = ("labels", "train", "validation")
FPS = 12
"""Of the frames of v1, and of the videos of v2."""


def recognise(tree: Tree) -> Guess | None:
    """Take a folder with files that end in labels, train and validation, and videos or pictures."""
    for suffix in (".json", ".csv"):
        for folder, names in by_folder(tree.named(suffix)).items():
            if all(any(name.endswith(part + suffix) for name in names) for part in PARTS):
                return _guess(tree, folder)
    return None


def _guess(tree: Tree, folder: str) -> Guess | None:
    files = tree.videos or tree.images
    if not files:
        return None
    source = {"kind": "something-something", "annotations": tree.path(folder)}
    words = "Something-Something by its files labels, train and validation"
    if tree.videos:
        return Guess("video-classification", {**source, "path": tree.path(common_folder(files))}, words)
    # A single video's folder is not the folder of all.
    above = common_folder(name.rpartition("/")[0] for name in files)
    prefix = common_start(name.rpartition("/")[2] for name in files).rstrip("0123456789")
    pattern = {"pattern": f"{prefix}*"} if prefix else {}
    note = f"nothing says how fast the frames follow each other: set data.source.fps, which is {FPS} now"
    return Guess("video-classification", {**source, "path": tree.path(above), "fps": FPS, **pattern}, words, (note,))
