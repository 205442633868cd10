"""Videos as folders of pictures, a folder a class: `<class>/<video>/img_00001.jpg`, or below train/ and val/."""

from collections import Counter
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from pipeline.decode.limits import IMAGE_EXTENSIONS
from pipeline.recipe.schema import Task
from pipeline.recipe.sources import FramesSource
from pipeline.sources.folder import by_class, is_utf8, tree_digest, walk
from pipeline.sources.listing import FrameFolder, Listing

LAYOUT = "one folder a class with one folder a video in it, or train/ and val/ with such folders in each"


def look(source: FramesSource, task: Task, val_share: float) -> Listing:
    """The candidates, each a folder that holds frames. Raises ZoetropeError, which says how the source should look."""
    root = Path(source.path).resolve()
    folders, others = frame_folders(root, source.pattern, LAYOUT)
    has_val = any(key.startswith("val/") for key in folders)
    listing = by_class(root, folders, others, has_val, IMAGE_EXTENSIONS, val_share, LAYOUT)
    frames = FrameFolder(source.fps, source.pattern)
    return replace(listing, candidates=[replace(one, frames=frames) for one in listing.candidates])


def frame_folders(root: Path, pattern: str, layout: str) -> tuple[list[str], Counter[str]]:
    """Folders below `root` that hold a picture whose name fits `pattern`, and which other files there are."""
    others: Counter[str] = Counter()
    folders: dict[str, None] = {}
    for key, _ in walk(root, layout):
        folder, _, name = key.rpartition("/")
        suffix = Path(key).suffix.lower()
        if suffix not in IMAGE_EXTENSIONS:
            others[suffix or "without an extension"] += 1
        elif not fnmatchcase(name, pattern):
            others[f"not named {pattern}"] += 1
        elif not folder:
            others["outside of a folder"] += 1
        elif not is_utf8(key):
            others["with a name that is not UTF-8"] += 1
        else:
            folders[folder] = None
    return list(folders), others


def digest(source: FramesSource) -> str:
    """What the folder holds, by relative path, size and time of change."""
    return tree_digest(Path(source.path), LAYOUT)
