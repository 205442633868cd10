"""Sources that draw their files: how each is drawn, and how what was drawn is then read."""

from pathlib import Path

from pipeline.recipe.object_sources import LabelmeSource, YoloSource
from pipeline.recipe.sources import (
    DigitInstancesSource,
    DigitObjectsSource,
    DigitScenesSource,
    DrawnSource,
    FolderSource,
    ImagesSource,
    MovingDigitsSource,
    PhotographsSource,
    StickFiguresSource,
)
from pipeline.sources.joints import PERSON


def draw(source: DrawnSource, folder: Path, numbers: range) -> None:
    """Let a source write its files `numbers` into a folder. OpenCV is loaded here, not before."""
    from pipeline.sources import digits, photographs, scenes, stick_figures

    if isinstance(source, MovingDigitsSource):
        digits.draw_clips(folder, numbers, source.size_px, source.frames)
    elif isinstance(source, DigitScenesSource):
        scenes.draw_scenes(folder, numbers, source.size_px)
    elif isinstance(source, DigitObjectsSource):
        scenes.draw_objects(folder, numbers, source.size_px)
    elif isinstance(source, StickFiguresSource):
        stick_figures.draw_figures(folder, numbers, source.size_px)
    elif isinstance(source, DigitInstancesSource):
        scenes.draw_instances(folder, numbers, source.size_px)
    elif isinstance(source, PhotographsSource):
        photographs.draw_parts(folder, numbers, source.size_px)
    else:
        digits.draw_images(folder, numbers, source.size_px)


def as_files(source: DrawnSource, folder: Path) -> FolderSource | ImagesSource | LabelmeSource | YoloSource:
    """Say how what a source drew into a folder is read."""
    if isinstance(source, DigitScenesSource):
        classes: list[str] = ["background", *(str(digit) for digit in range(10))]
        return ImagesSource(kind="images", path=f"{folder}/images", masks=f"{folder}/masks", classes=classes)
    digits: list[str] = [str(digit) for digit in range(10)]
    if isinstance(source, DigitInstancesSource):
        return LabelmeSource(kind="labelme", path=f"{folder}/images", annotations=f"{folder}/labels", classes=digits)
    if isinstance(source, DigitObjectsSource):
        return YoloSource(kind="yolo", path=f"{folder}/images", labels=f"{folder}/labels", classes=digits)
    if isinstance(source, StickFiguresSource):
        return YoloSource(kind="yolo", path=f"{folder}/images", labels=f"{folder}/labels", classes=[PERSON])
    if isinstance(source, PhotographsSource):
        return ImagesSource(kind="images", path=str(folder))
    return FolderSource(kind="folder", path=str(folder))
