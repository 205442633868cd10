"""Videos as folders of pictures, a folder a class: `<class>/<video>/img_00001.jpg`, or below train/ and val/."""

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from pipeline.recipe.sources import FramesSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources.class_folders import by_class, is_utf8, tree_digest, walk
from pipeline.sources.kinds import EXTENSIONS, kind
from pipeline.sources.listing import FrameFolder, Listing

LAYOUT = "one folder a class with one folder a video in it, or train/ and val/ with such folders in each"


def look(source: FramesSource, task: TaskSection, split: Split) -> Listing:
    """List the candidates, each a folder that holds frames.

    Raises ZoetropeError, which says how the source should look.
    """
    root = Path(source.path).resolve()
    folders, passed_over = frame_folders(root, source.pattern, LAYOUT)
    listing = by_class(root, folders, passed_over, EXTENSIONS["image"], LAYOUT)
    frames = FrameFolder(source.fps, source.pattern)
    return replace(listing, candidates=[replace(one, frames=frames) for one in listing.candidates])


def frame_folders(root: Path, pattern: str, layout: str) -> tuple[list[str], dict[str, str]]:
    """Find folders below `root` that hold a picture whose name fits `pattern`, and the other
    files, each with what it is.
    """
    passed_over: dict[str, str] = {}
    folders: dict[str, None] = {}
    for key, _ in walk(root, layout):
        folder, _, name = key.rpartition("/")
        suffix = Path(key).suffix.lower()
        if suffix not in EXTENSIONS["image"]:
            passed_over[key] = kind(suffix)
        elif not fnmatchcase(name, pattern):
            passed_over[key] = f"not named {pattern}"
        elif not folder:
            passed_over[key] = "outside of a folder"
        elif not is_utf8(key):
            passed_over[key] = "with a name that is not UTF-8"
        else:
            folders[folder] = None
    return list(folders), passed_over


def digest(source: FramesSource) -> str:
    """Hash what the folder holds, by relative path, size and time of change."""
    return tree_digest(Path(source.path), LAYOUT)
