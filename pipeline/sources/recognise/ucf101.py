"""UCF101: its split files beside the videos."""

from pipeline.sources.recognise.tree import Guess, Tree, common_folder

LIST = "trainlist01.txt"


def recognise(tree: Tree) -> Guess | None:
    """Take trainlist01.txt and testlist01.txt in one folder, and videos."""
    lists = [name for name in tree.named(".txt") if name.rpartition("/")[2] == LIST]
    beside = [name for name in lists if name.replace(LIST, "testlist01.txt") in tree.sizes]
    if not (beside and tree.videos):
        return None
    folder = beside[0].rpartition("/")[0]
    source = {"kind": "ucf101", "path": tree.path(common_folder(tree.videos)), "annotations": tree.path(folder)}
    return Guess("video-classification", source, "UCF101 by its split files, the first of its three splits")
