"""Charades: CSV files with the actions of each video, and a list of the classes' names."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipeline.base.errors import ZoetropeError
from pipeline.recipe.sources import CharadesSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources import annotated, tables
from pipeline.sources.annotated import Annotation, Name
from pipeline.sources.listing import Listing

FILES = {"classes": "*_classes.txt", "train": "*_train.csv", "val": "*_test.csv"}
COLUMNS = ("id", "actions")
WHAT = "Charades_v1_train.csv, Charades_v1_test.csv and Charades_v1_classes.txt"


def look(source: CharadesSource, task: TaskSection, split: Split) -> Listing:
    """List the videos of train and test, each with the classes of all its actions; of a few these are none.

    ZoetropeError for a task of one label a video.
    """
    if not task.label_sets:
        raise ZoetropeError(
            f"task.kind: a video of Charades shows any number of actions, and {task.kind} asks for one; set it to "
            "video-multilabel"
        )
    names = _classes(_file(source, "classes"))
    return annotated.look_up(source, _annotations(source, names), Counter(), names.values())


def digest(source: CharadesSource) -> str:
    """Hash the annotations' content and the videos' listing."""
    return annotated.digest(source, [_file(source, name) for name in FILES])


def _file(source: CharadesSource, name: str) -> Path:
    return annotated.files(source.annotations, FILES[name], WHAT)[0]


def _classes(path: Path) -> dict[str, str]:
    """Map c000, c001, ... -> the name of the class, in the order of the numbers."""
    lines = [line.strip().partition(" ") for line in annotated.text(path).splitlines() if line.strip()]
    if not all(code[:1] == "c" and code[1:].isdecimal() and name for code, _, name in lines):
        raise annotated.wrong(f"{path} should have a class in each line, such as c000 Holding some clothes")
    return {code: name for code, _, name in sorted(lines)}


def _annotations(source: CharadesSource, names: dict[str, str]) -> Iterator[Annotation]:
    for split in ("train", "val"):
        path = _file(source, split)
        columns, rows = tables.read(str(path), annotated.read(path))
        if missing := [name for name in COLUMNS if name not in columns]:
            raise annotated.wrong(f"{path} has no column {missing[0]!r}; it should be one of {WHAT}")
        for row in rows:
            # `c092 11.90 21.20;c147 0.00 12.60`: a class, and when it begins and ends
            codes = {action.split()[0] for action in row["actions"].split(";") if action.strip()}
            if unknown := sorted(codes - names.keys()):
                raise annotated.wrong(f"{path}: {row['id']} has the action {unknown[0]!r}, which is no class")
            yield Annotation((Name(row["id"].strip()),), tuple(names[code] for code in sorted(codes)), split)
