"""HMDB51's split files: `<class>_test_split1.txt` marks each video of a class with 1 (train), 2 (test) or 0."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pipeline.recipe.sources import Hmdb51Source
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources import annotated
from pipeline.sources.annotated import Annotation, Name
from pipeline.sources.listing import Listing

WHAT = "HMDB51's 51 files <class>_test_split1.txt"
MARKS = {"1": "train", "2": "val"}


def look(source: Hmdb51Source, task: TaskSection, split: Split) -> Listing:
    """List the videos of one fold."""
    others: Counter[str] = Counter()
    return annotated.look_up(source, _annotations(source, others), others)


def digest(source: Hmdb51Source) -> str:
    """Hash the annotations' content and the videos' listing."""
    return annotated.digest(source, _files(source))


def _files(source: Hmdb51Source) -> list[Path]:
    return annotated.files(source.annotations, f"*_test_split{source.fold}.txt", WHAT)


def _annotations(source: Hmdb51Source, others: Counter[str]) -> Iterator[Annotation]:
    for path in _files(source):
        label = path.name.removesuffix(f"_test_split{source.fold}.txt")
        for number, line in enumerate(annotated.text(path).splitlines(), 1):
            if not line.strip():
                continue
            name, _, mark = line.strip().rpartition(" ")
            if not name or mark not in ("0", "1", "2"):
                raise annotated.wrong(f"{path} should have a video and 0, 1 or 2 in line {number}, not {line[:60]!r}")
            if mark == "0":
                others["in neither split"] += 1
            else:
                yield Annotation((Name(PurePosixPath(name.strip()).stem),), (label,), MARKS[mark])
