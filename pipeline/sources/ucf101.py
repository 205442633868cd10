"""UCF101's split files: trainlist01.txt and testlist01.txt name `<class>/<video>.avi`, a line a video."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pipeline.recipe.sources import Ucf101Source
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources import annotated
from pipeline.sources.annotated import Annotation, Name
from pipeline.sources.listing import Listing

WHAT = "UCF101's trainlist01.txt, testlist01.txt and classInd.txt"


def look(source: Ucf101Source, task: TaskSection, split: Split) -> Listing:
    """List the videos of one fold, classes numbered as in classInd.txt where that is there."""
    return annotated.look_up(source, _annotations(source), Counter(), _classes(source))


def digest(source: Ucf101Source) -> str:
    """Hash the annotations' content and the videos' listing."""
    return annotated.digest(source, [*_lists(source).values(), *_class_file(source)])


def _lists(source: Ucf101Source) -> dict[str, Path]:
    names = {"train": f"trainlist{source.fold:02d}.txt", "val": f"testlist{source.fold:02d}.txt"}
    return {split: annotated.files(source.annotations, name, WHAT)[0] for split, name in names.items()}


def _class_file(source: Ucf101Source) -> list[Path]:
    path = Path(source.annotations) / "classInd.txt"
    return [path] if path.exists() else []


def _classes(source: Ucf101Source) -> list[str]:
    lines = [line.split() for path in _class_file(source) for line in annotated.text(path).splitlines() if line.strip()]
    if any(len(parts) != 2 or not parts[0].isdecimal() for parts in lines):
        raise annotated.wrong(f"{_class_file(source)[0]} should have a number and a class in each line")
    return [name for _, name in sorted(lines, key=lambda parts: int(parts[0]))]


def _annotations(source: Ucf101Source) -> Iterator[Annotation]:
    for split, path in _lists(source).items():
        for line in annotated.text(path).splitlines():
            if not line.strip():
                continue
            named = PurePosixPath(line.split()[0])  # train lists have the class number behind
            if len(named.parts) < 2:
                raise annotated.wrong(f"{path} should name <class>/<video>.avi, not {line[:60]!r}")
            yield Annotation((Name(named.stem),), (named.parts[-2],), split)
