"""What an evaluation leaves in its folder: metrics, the task's tables and figures, the best and worst predictions."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.recipe import Recipe
from pipeline.tasks import task_of
from pipeline.tasks.base import Arrays, Tally, Task

if TYPE_CHECKING:
    from pipeline.shards.dataset import Dataset

SHOWN = 16
"""Predictions in the figures of the best and of the worst."""


def to_show(task: Task, tally: Tally) -> dict[str, np.ndarray]:
    """Choose what is drawn: the name of a figure -> places in the tally's rows, the first one first."""
    scores = task.shown(tally.rows).items()
    return {name: np.argsort(score, kind="stable")[:SHOWN].astype(np.int64) for name, score in scores}


def write_tables(folder: Path, task: Task, names: Sequence[str], tally: Tally) -> dict[str, float]:
    """Write `metrics.json`, and tables and figures of the task, of samples that the source calls `names`.

    Returns the metrics.
    """
    (folder / "figures").mkdir(exist_ok=True)
    measured = task.metrics(tally)
    measured |= task.report(folder, names, tally)
    (folder / "metrics.json").write_text(json.dumps(measured, indent=1))
    return measured


def draw(
    folder: Path,
    recipe: Recipe,
    dataset: "Dataset",
    names: Sequence[str],
    tally: Tally,
    shown: dict[str, np.ndarray],
    looks: Iterable[tuple[np.ndarray, Arrays]],
) -> None:
    """Draw the figures of `to_show`, of which `looks` are the `pictures`, one after the other."""
    from pipeline.figures import figures
    from pipeline.figures.fonts import class_names

    task = task_of(recipe, tuple(class_names(dataset.classes)))
    seen = iter(looks)
    for figure, order in shown.items():
        drawings = []
        for i in order:
            pixels, pictured = next(seen)
            row = {name: column[i] for name, column in tally.rows.items()} | dict(pictured)
            drawings.append(task.compared(pixels, row)._replace(name=names[i]))
        figures.predictions(drawings, folder / "figures" / f"{figure}_predictions.png")
