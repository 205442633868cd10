"""Sources that draw their files: how each is drawn, and how what was drawn is then read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.recipe.sources import DrawnSource, FolderSource, ImagesSource
from pipeline.sources.digits import draw_clips, draw_images
from pipeline.sources.scenes import CLASSES, draw_scenes

DRAW: dict[str, Callable[[Any, Path, range], None]] = {
    "digits": lambda source, folder, numbers: draw_images(folder, numbers, source.size_px),
    "digit-scenes": lambda source, folder, numbers: draw_scenes(folder, numbers, source.size_px),
    "moving-digits": lambda source, folder, numbers: draw_clips(folder, numbers, source.size_px, source.frames),
}
"""By kind: writes the files of these numbers into a folder."""


def draw(source: DrawnSource, folder: Path, numbers: range) -> None:
    """Let a source write its files `numbers` into a folder."""
    DRAW[source.kind](source, folder, numbers)


def as_files(source: DrawnSource, folder: Path) -> FolderSource | ImagesSource:
    """Say how what a source drew into a folder is read."""
    if source.kind == "digit-scenes":
        return ImagesSource(kind="images", path=f"{folder}/images", masks=f"{folder}/masks", classes=list(CLASSES))
    return FolderSource(kind="folder", path=str(folder))
