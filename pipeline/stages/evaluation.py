"""What an evaluation leaves in its folder: metrics, the task's tables and figures, the best and worst predictions."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.recipe import Recipe
from pipeline.report.details import pictured, to_list, write_details
from pipeline.tasks import task_of
from pipeline.tasks.base import Arrays, Tally, Task

if TYPE_CHECKING:
    from pipeline.shards.dataset import Dataset

SHOWN = 16
"""Predictions in the figures of the best and of the worst."""


@dataclass(frozen=True)
class Chosen:
    """Samples by their places in a tally's rows, the first one first.

    shown: of each figure, by its name; listed: what a report lists
    """

    shown: dict[str, np.ndarray]
    listed: dict[str, np.ndarray]

    @property
    def places(self) -> np.ndarray:
        """Those that are drawn, each once, int64."""
        return np.unique(np.concatenate([*self.shown.values(), *pictured(self.listed).values()])).astype(np.int64)


def choose(task: Task, tally: Tally) -> Chosen:
    """Choose what is drawn."""
    scores = task.shown(tally.rows).items()
    shown = {name: np.argsort(score, kind="stable")[:SHOWN] for name, score in scores}
    return Chosen(shown, to_list(task, tally, SHOWN))


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
    split: str,
    names: Sequence[str],
    tally: Tally,
    chosen: Chosen,
    looks: Iterable[tuple[np.ndarray, Arrays]],
    curves: Mapping[str, Any] | None = None,
    fitted_on: Arrays | None = None,
) -> str | None:
    """Draw the figures, and write what a report needs; `looks` are the `pictures` of `chosen.places`.

    curves: of the training, as its stage keeps them; fitted_on: see `Task.calibration`
    Returns why there will be no report, None where there will be.
    """
    from pipeline.figures import figures
    from pipeline.figures.fonts import class_names

    task = task_of(recipe, tuple(class_names(dataset.classes)))
    drawings = {}
    for i, (pixels, more) in zip(chosen.places.tolist(), looks, strict=True):
        row = {name: column[i] for name, column in tally.rows.items()} | dict(more)
        drawings[i] = task.compared(pixels, row)._replace(name=names[i])
    for figure, places in chosen.shown.items():
        figures.predictions([drawings[i] for i in places.tolist()], folder / "figures" / f"{figure}_predictions.png")
    try:
        told = (task, split, names, tally, chosen.listed, drawings, curves or {}, fitted_on)
        write_details(folder, recipe.task.kind, *told)
    except Exception as error:  # a report is worth less than an evaluation
        return f"there will be no report: {type(error).__name__}: {error}"
    return None
