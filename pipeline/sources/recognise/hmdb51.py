"""HMDB51: its split files beside the videos."""

from pipeline.sources.recognise.tree import Guess, Tree, by_folder, common_folder

END = "_test_split1.txt"
FEWEST = 2
"""Of such files, one a class."""


def recognise(tree: Tree) -> Guess | None:
    """Take a folder of <class>_test_split1.txt, and videos."""
    folders = by_folder(name for name in tree.named(".txt") if name.endswith(END))
    folder = max(folders, key=lambda name: len(folders[name]), default="")
    if not tree.videos or len(folders.get(folder, ())) < FEWEST:
        return None
    source = {"kind": "hmdb51", "path": tree.path(common_folder(tree.videos)), "annotations": tree.path(folder)}
    return Guess("video-classification", source, "HMDB51 by its split files, the first of its three splits")
