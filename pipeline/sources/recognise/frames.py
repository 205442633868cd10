"""Videos as folders of numbered pictures."""

import re

from pipeline.sources.recognise.tree import Guess, Tree, by_folder, common_start, is_split

FEWEST = 4
"""Frames of a video; fewer numbered pictures are no sign of one."""
FPS = 25
_NUMBERED = re.compile(r"(.*?)(\d+)\.[^.]+")


def recognise(tree: Tree) -> Guess | None:
    """Take folders in class folders, when nearly all of them hold pictures that are numbered one after the other."""
    folders = by_folder(tree.images)
    if not folders or tree.videos:
        return None
    deep = {folder: names for folder, names in folders.items() if _depth(folder) == 2}
    videos = {folder: names for folder, names in deep.items() if _is_sequence(names)}
    classes = {folder.rpartition("/")[0] for folder in videos}
    if 10 * len(videos) < 9 * len(folders) or len(videos) <= len(classes):
        return None
    names = [name.rpartition("/")[2] for names in videos.values() for name in names]
    prefix = common_start(names).rstrip("0123456789")
    pattern = {"pattern": f"{prefix}*"} if prefix else {}
    source = {"kind": "frames", "path": str(tree.root), "fps": FPS, **pattern}
    return Guess(
        "video-classification",
        source,
        f"a folder of frames a video, {len(videos):,} of them, in class folders",
        (f"nothing says how fast the frames follow each other: set data.source.fps, which is {FPS} now",),
    )


def _depth(folder: str) -> int:
    """Return how many folders lie below the split: 2 are a class and a video."""
    parts = folder.split("/")
    return len(parts) - is_split(parts[0])


def _is_sequence(names: list[str]) -> bool:
    """Tell whether file names differ in a number alone, which has hardly a gap."""
    matches = [_NUMBERED.fullmatch(name.rpartition("/")[2]) for name in names]
    found = [match for match in matches if match]
    if len(found) < max(FEWEST, len(names)) or len({match[1] for match in found}) > 1:
        return False
    numbers = {int(match[2]) for match in found}
    steps = (max(numbers) - min(numbers)) / max(1, len(numbers) - 1)
    return len(numbers) == len(names) and abs(steps - round(steps)) < 0.1
