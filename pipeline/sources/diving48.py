"""Diving48: lists of videos as JSON with the numbers of classes, and the vocabulary that these are places in."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipeline.recipe.sources import Diving48Source
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources import annotated
from pipeline.sources.annotated import Annotation, Name
from pipeline.sources.listing import Listing

FILES = {"classes": "*vocab.json", "train": "*V2_train.json", "val": "*V2_test.json"}
WHAT = (
    "Diving48_vocab.json, Diving48_V2_train.json and Diving48_V2_test.json (many labels of the first version are wrong)"
)


def look(source: Diving48Source, task: TaskSection, split: Split) -> Listing:
    """List the videos of train and test. A class is its four parts, as in "Back 15som 05Twis FREE"."""
    classes = _classes(source)
    return annotated.look_up(source, _annotations(source, classes), Counter(), classes)


def digest(source: Diving48Source) -> str:
    """Hash the annotations' content and the videos' listing."""
    return annotated.digest(source, [_file(source, name) for name in FILES])


def _file(source: Diving48Source, name: str) -> Path:
    return annotated.files(source.annotations, FILES[name], WHAT)[0]


def _classes(source: Diving48Source) -> list[str]:
    path = _file(source, "classes")
    parts = annotated.json_of(path, list)
    if not all(isinstance(one, list) and all(isinstance(part, str) for part in one) for one in parts):
        raise annotated.wrong(f"{path} should be a list of classes, each a list of its parts in words")
    return [" ".join(one) for one in parts]


def _annotations(source: Diving48Source, classes: list[str]) -> Iterator[Annotation]:
    for split in ("train", "val"):
        path = _file(source, split)
        for entry in annotated.json_of(path, list):
            if not isinstance(entry, dict) or not {"vid_name", "label"} <= entry.keys():
                raise annotated.wrong(f"{path} should be a list of objects with vid_name and label")
            name, number = str(entry["vid_name"]), entry["label"]
            if not isinstance(number, int) or not 0 <= number < len(classes):
                raise annotated.wrong(f"{path}: {name} has the label {number!r}, and there are {len(classes)} classes")
            yield Annotation((Name(name),), (classes[number],), split)
