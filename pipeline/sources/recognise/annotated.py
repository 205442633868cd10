"""What annotation files name: videos, or folders of frames."""

from collections.abc import Mapping
from typing import Any

from pipeline.sources.recognise.tree import Guess, Tree, common_folder, common_start


def videos_or_frames(
    tree: Tree, source: Mapping[str, Any], words: str, fps: float, task: str = "video-classification"
) -> Guess | None:
    """Complete a source by where the videos lie or, where there are none, the frames, which are `fps` a second."""
    files = tree.videos or tree.images
    if not files:
        return None
    if tree.videos:
        return Guess(task, {**source, "path": tree.path(common_folder(files))}, words)
    # A single video's folder is not the folder of all.
    above = common_folder(name.rpartition("/")[0] for name in files)
    prefix = common_start(name.rpartition("/")[2] for name in files).rstrip("0123456789")
    pattern = {"pattern": f"{prefix}*"} if prefix else {}
    note = f"nothing says how fast the frames follow each other: set data.source.fps, which is {fps:g} now"
    return Guess(task, {**source, "path": tree.path(above), "fps": fps, **pattern}, words, (note,))
