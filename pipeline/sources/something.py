"""Something-Something: v2 as JSON (labels, train, validation), v1 as CSV with semicolons; Jester, as v1."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipeline.recipe.sources import JesterSource, SomethingSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources import annotated
from pipeline.sources.annotated import Annotation, Name
from pipeline.sources.listing import Listing

SPLITS = {"train": "train", "validation": "val"}
WHAT = "labels.json, train.json and validation.json of v2, or the .csv files of v1 and of Jester"


def look(source: SomethingSource | JesterSource, task: TaskSection, split: Split) -> Listing:
    """List the videos of train and validation.

    A class is its template without brackets, numbered as in the labels file.
    """
    labels, *_ = _files(source)
    classes = _classes(labels)
    return annotated.look_up(source, _annotations(source, set(classes)), Counter(), classes)


def digest(source: SomethingSource | JesterSource) -> str:
    """Hash the annotations' content and the videos' listing."""
    return annotated.digest(source, _files(source))


def _files(source: SomethingSource | JesterSource) -> list[Path]:
    """Return the files of labels, train and validation."""
    folder = source.annotations
    kind = "json" if not Path(folder).is_dir() or list(Path(folder).glob("*labels.json")) else "csv"
    return [annotated.files(folder, f"*{name}.{kind}", WHAT)[0] for name in ("labels", *SPLITS)]


def _classes(path: Path) -> list[str]:
    if path.suffix == ".csv":
        return [line.strip() for line in annotated.text(path).splitlines() if line.strip()]
    numbers = annotated.json_of(path, dict)
    try:
        return sorted(numbers, key=lambda name: int(numbers[name]))
    except (TypeError, ValueError, OverflowError):
        raise annotated.wrong(f"{path} should give each template its number") from None


def _annotations(source: SomethingSource | JesterSource, classes: set[str]) -> Iterator[Annotation]:
    _, *files = _files(source)
    for path, split in zip(files, SPLITS.values(), strict=True):
        for key, template in _csv(path) if path.suffix == ".csv" else _entries(path):
            if template not in classes:
                raise annotated.wrong(f"{path}: the template {template!r} of video {key} is not in the labels file")
            yield Annotation((Name(key),), (template,), split)


def _csv(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(annotated.text(path).splitlines(), 1):
        key, semicolon, template = line.partition(";")
        if not semicolon:
            raise annotated.wrong(f"{path} should have id;template in line {number}, not {line[:60]!r}")
        if (key, template) != ("id", "label"):  # a heading, which some copies have
            yield key.strip(), template.strip()


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    for entry in annotated.json_of(path, list):
        if not isinstance(entry, dict) or not {"id", "template"} <= entry.keys():
            raise annotated.wrong(f"{path} should be a list of objects with id and template")
        yield str(entry["id"]), str(entry["template"]).replace("[", "").replace("]", "")
