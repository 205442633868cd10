"""What an evaluation keeps for reports: each sample's score, pictures of those to look at, charts, calibration.

`details.json.gz`, so that a page is made later in a moment: without torch, matplotlib or the data.
"""

import base64
import gzip
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.base.errors import ZoetropeError
from pipeline.figures.drawing import Drawing
from pipeline.tasks.base import Arrays, Tally, Task

DETAILS = "details.json.gz"
SCHEMA = 1
MOST_BYTES = 1 << 30
"""Of the JSON that is read."""
ERRORS, DOUBTS = 48, 24
"""Pictures of samples that are wrong, and of labels that may be."""
LISTED = 500
"""Labels that may be wrong, named in a list."""
PICTURE_PX = 400, 240
"""Width and height into which a picture is brought; a film strip gets twice the width."""
QUALITY = 80
EPOCH = 0
"""A time inside the file: equal evaluations leave equal files."""


def to_list(task: Task, tally: Tally, most: int) -> dict[str, np.ndarray]:
    """Choose samples for a report by their places in the rows: `errors` and `doubts`, the first one first.

    most: pictures of a task whose every picture costs another forward; others get more
    """
    wrongness = task.judged(tally.rows).wrongness
    order = np.argsort(-wrongness, kind="stable")
    found = {"errors": order[np.isfinite(wrongness[order])][: most if task.rides else ERRORS]}
    if (doubt := task.doubts(tally.rows)) is not None:
        order = np.argsort(-doubt, kind="stable")
        found["doubts"] = order[doubt[order] > 0][:LISTED]
    return found


def pictured(listed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the samples of `to_list` that get a picture."""
    return {name: places[:DOUBTS] if name == "doubts" else places for name, places in listed.items()}


def write_details(
    folder: Path,
    kind: str,
    task: Task,
    split: str,
    names: Sequence[str],
    tally: Tally,
    listed: Mapping[str, np.ndarray],
    drawings: Mapping[int, Drawing],
    curves: Mapping[str, Any],
    fitted_on: Arrays | None = None,
) -> None:
    """Write `DETAILS` beside the tables of an evaluation in `folder`, and the figure of its calibration.

    kind: of the task; names: of the samples in the source; drawings: of some of them, by their places in the rows;
    curves: of the training, name -> steps and values; fitted_on: see `Task.calibration`
    """
    judged = task.judged(tally.rows)
    content = {
        "schema": SCHEMA,
        "kind": kind,
        "split": split,
        "title": task.headline.title,
        "measures": dict(task.measures),
        "metric": task.headline.metric,
        "less_is_better": sorted(task.smaller_is_better),
        "classes": list(task.classes),
        "judged": {"name": judged.name, "form": judged.form},
        "file": list(names),
        "score": [round(float(score), 5) for score in judged.score],
        "true": list(judged.true),
        "said": list(judged.said),
        "listed": {name: places.tolist() for name, places in listed.items()},
        "pictures": {str(place): _picture(drawing) for place, drawing in drawings.items()},
        "remarks": task.remarks(tally),
        "calibration": _calibration(folder, task, tally, fitted_on),
        "charts": charts(folder / "figures", curves),
    }
    text = json.dumps(content, separators=(",", ":"))
    (folder / DETAILS).write_bytes(gzip.compress(text.encode(), 6, mtime=EPOCH))


def read_details(path: Path) -> dict[str, Any]:
    """Read what `write_details` wrote. ZoetropeError for what it did not."""
    try:
        with gzip.open(path) as file:
            content = json.loads(file.read(MOST_BYTES))
    except (OSError, EOFError, ValueError) as error:
        raise ZoetropeError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ZoetropeError(f"{path}: was written by another version; evaluate again")
    return content


def charts(figures: Path, curves: Mapping[str, Any]) -> dict[str, str]:
    """Return what was drawn in a folder of figures as SVG, and the curves of a training, by name."""
    found = {path.stem: path.read_text(encoding="utf-8") for path in sorted(figures.glob("*.svg"))}
    return found | ({"curves": curves_svg({"": curves})} if curves else {})


def curves_svg(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Draw the curves of trainings, by the names of their runs, as SVG: a panel for each metric."""
    from pipeline.figures.figures import panels
    from pipeline.figures.saving import svg

    series = {
        f"{run}  {name}".strip(): (steps, [math.nan if value is None else value for value in values])
        for run, curves in runs.items()
        for name, (steps, values) in curves.items()
    }
    return svg(panels(series, lambda name: name.rpartition("  ")[2].rpartition("/")[2]), "curves")


def _calibration(folder: Path, task: Task, tally: Tally, fitted_on: Arrays | None) -> dict[str, Any] | None:
    from pipeline.tasks.calibration import bins

    found = task.calibration(tally.rows, fitted_on) if fitted_on else task.calibration(tally.rows)
    if found is None or not len(found.confidence):
        return None
    from pipeline.figures.figures import reliability

    reliability(*bins(found.confidence, found.right), folder / "figures" / "reliability.png")
    return {"numbers": found.numbers, "remark": found.remark}


def _picture(drawing: Drawing) -> dict[str, Any]:
    from pipeline.figures.figures import film_strip

    picture = Image.fromarray(film_strip(drawing.pixels))
    width, height = PICTURE_PX
    picture.thumbnail((2 * width if drawing.pixels.ndim == 4 else width, height), Image.Resampling.BILINEAR)
    return {"jpeg": jpeg(picture), "width": picture.width, "words": drawing.words, "right": drawing.right}


def jpeg(picture: Image.Image) -> str:
    """Encode a picture as JPEG in base64."""
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=QUALITY)
    return base64.b64encode(file.getvalue()).decode()
