"""ActivityNet: a JSON file with the labelled segments of whole YouTube videos, each of which is a sample."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.recipe.sources import ActivityNetSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import TaskSection
from pipeline.sources import annotated
from pipeline.sources.annotated import Annotation, Name
from pipeline.sources.listing import Listing

SPLITS = {"training": "train", "validation": "val"}
WHAT = "activity_net.v1-3.min.json"


def look(source: ActivityNetSource, task: TaskSection, split: Split) -> Listing:
    """List the segments of the subsets training and validation; one that ends behind its video is cut there."""
    others: Counter[str] = Counter()
    return annotated.look_up(source, _annotations(source, others), others)


def digest(source: ActivityNetSource) -> str:
    """Hash the annotations' content and the videos' listing."""
    return annotated.digest(source, [_file(source)])


def _file(source: ActivityNetSource) -> Path:
    path = Path(source.annotations)
    return path if path.is_file() else annotated.files(source.annotations, "activity_net*.json", WHAT)[0]


def _annotations(source: ActivityNetSource, others: Counter[str]) -> Iterator[Annotation]:
    path = _file(source)
    videos = annotated.json_of(path, dict).get("database")
    if not isinstance(videos, dict):
        raise annotated.wrong(f"{path} has no object `database`; it should be {WHAT}")
    for key, video in videos.items():
        try:
            subset = str(video["subset"])
            if subset in SPLITS:
                segments = [
                    (str(one["label"]), *_cut(one["segment"], video["duration"])) for one in video["annotations"]
                ]
        except (KeyError, TypeError, ValueError, OverflowError):
            raise annotated.wrong(
                f"{path}: {key} should have subset, duration and annotations, each of these a label and a segment of "
                "two times in seconds"
            ) from None
        if subset not in SPLITS:
            others[f"in {subset}"] += 1
            continue
        for label, start_s, end_s in segments:
            if end_s <= start_s:
                others["segments without a length"] += 1
            else:
                names = tuple(Name(stem, start_s, end_s) for stem in (f"v_{key}", key))
                yield Annotation(names, (label,), SPLITS[subset])


def _cut(segment: Any, duration: Any) -> tuple[float, float]:
    """Return when a segment begins and ends, within the video. ValueError where that is no time."""
    start_s, end_s = (float(time) for time in segment)
    if not all(map(math.isfinite, (start_s, end_s, float(duration)))):
        raise ValueError(segment)
    return max(0.0, start_s), min(end_s, float(duration))
