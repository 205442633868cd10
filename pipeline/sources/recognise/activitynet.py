"""ActivityNet: its file of segments beside the whole videos."""

from pipeline.sources.recognise.tree import Guess, Tree, common_folder


def recognise(tree: Tree) -> Guess | None:
    """Take a file activity_net*.json, and videos."""
    files = [name for name in tree.named(".json") if name.rpartition("/")[2].startswith("activity_net")]
    if not (files and tree.videos):
        return None
    source = {"kind": "activitynet", "path": tree.path(common_folder(tree.videos)), "annotations": tree.path(files[0])}
    return Guess("video-classification", source, f"ActivityNet's segments by {files[0].rpartition('/')[2]}")
