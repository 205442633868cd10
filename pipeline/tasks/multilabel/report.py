"""Tables and a figure of how well each class is told."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.figures.figures import class_bars
from pipeline.figures.fonts import class_names
from pipeline.tasks.multilabel.measure import PREDICTED_FROM, exact_average_precision, mean_of_measured, named
from pipeline.tasks.tables import MAX_COLUMNS, write_csv


def _score_cells(scores: np.ndarray) -> list[str]:
    """Return a cell a class, or one for all; scores [K]."""
    if len(scores) <= MAX_COLUMNS:
        return [f"{score:.4f}" for score in scores]
    return [", ".join(f"{score:.4f}" for score in scores[scores >= PREDICTED_FROM])]


def write_report(
    folder: Path, classes: tuple[str, ...], keys: Sequence[str], targets: np.ndarray, probabilities: np.ndarray
) -> dict[str, float]:
    """Write `per_class.csv`, `predictions.csv` and average precision a class as a figure; returns the exact `mAP`.

    In the predictions each class has a column of scores; of more than `MAX_COLUMNS` classes there are the scores of
    what is said alone.
    """
    precision_of = exact_average_precision(probabilities, targets)
    predicted = probabilities >= PREDICTED_FROM
    hits, samples, guesses = (predicted & (targets > 0)).sum(0), targets.sum(0, dtype=np.int64), predicted.sum(0)
    per_class = (
        (
            name,
            samples[i],
            "" if np.isnan(precision_of[i]) else precision_of[i],
            hits[i] / samples[i] if samples[i] else "",
            hits[i] / guesses[i] if guesses[i] else "",
        )
        for i, name in enumerate(classes)
    )
    write_csv(folder / "per_class.csv", ("class", "samples", "average precision", "recall", "precision"), per_class)
    rows = (
        (key, named(target, classes), named(row >= PREDICTED_FROM, classes), *_score_cells(row))
        for key, target, row in zip(keys, targets, probabilities, strict=True)
    )
    scored = classes if len(classes) <= MAX_COLUMNS else ("scores",)
    write_csv(folder / "predictions.csv", ("file", "labels", "predicted", *scored), rows)
    path = folder / "figures" / "average_precision.png"
    class_bars(precision_of, samples, class_names(classes), "average precision", path)
    return {"mAP": mean_of_measured(precision_of)}
