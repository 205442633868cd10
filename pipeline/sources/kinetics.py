"""Kinetics-400, -600 and -700: CSV files with label, youtube_id, time_start, time_end and split."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipeline.recipe.sources import KineticsSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources import annotated, tables
from pipeline.sources.annotated import Annotation, Name
from pipeline.sources.listing import Listing

COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
SPLITS = {"train": "train", "validate": "val", "val": "val", "validation": "val"}
WHAT = f"Kinetics' train.csv and validate.csv, with the columns {', '.join(COLUMNS)}"


def look(source: KineticsSource, task: TaskSection, split: Split) -> Listing:
    """List the videos of the splits train and validate; ZoetropeError for files that are no annotations of Kinetics."""
    others: Counter[str] = Counter()
    return annotated.look_up(source, _annotations(source, others), others)


def digest(source: KineticsSource) -> str:
    """Hash the annotations' content and the videos' listing."""
    return annotated.digest(source, _files(source))


def _files(source: KineticsSource) -> list[Path]:
    path = Path(source.annotations)
    return [path] if path.is_file() else annotated.files(source.annotations, "*.csv", WHAT)


def _annotations(source: KineticsSource, others: Counter[str]) -> Iterator[Annotation]:
    for path in _files(source):
        names, rows = tables.read(str(path), annotated.read(path))
        if missing := [name for name in COLUMNS if name not in names]:
            raise annotated.wrong(f"{path} has no column {missing[0]!r}; it should be one of {WHAT}")
        for number, row in enumerate(rows, 2):
            named = row["split"].strip().lower()
            split = SPLITS.get(named)
            if split is None:
                others[f"in {named or 'no split'}"] += 1
                continue
            key = row["youtube_id"].strip()
            try:
                start_s, end_s = float(row["time_start"]), float(row["time_end"])
                cut = Name(f"{key}_{int(start_s):06d}_{int(end_s):06d}")
            except (ValueError, OverflowError):  # NaN and infinity have no whole part
                raise annotated.wrong(f"{path} has a time that is no number in line {number}") from None
            whole = Name(key, start_s, end_s) if source.untrimmed else Name(key)
            yield Annotation((cut, whole), (row["label"],), split)
