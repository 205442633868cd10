"""Tables and a figure of what pixels were taken for."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.figures.figures import MAX_NAMED_CLASSES, confusion_matrix
from pipeline.figures.fonts import class_names
from pipeline.tasks.base import Tally
from pipeline.tasks.segmentation.measure import confusion_of, per_class
from pipeline.tasks.tables import MAX_COLUMNS, write_csv


def write_report(folder: Path, classes: Sequence[str], keys: Sequence[str], tally: Tally) -> dict[str, float]:
    """Write `per_class.csv`, `confusion.csv` by pixels, `samples.csv`, and the confusion matrix as a figure.

    `boundary_f1` of a class is the mean over the pictures that have it. Figures of a class that the split lacks are
    left empty. Returns the mean `boundary_f1` of the others.
    """
    confusion = confusion_of(tally.sums)
    found = per_class(confusion)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # a class in no picture: NaN is meant
        boundaries = np.nanmean(tally.rows["boundary_f1"], axis=0)
    columns = {**found._asdict(), "boundary_f1": boundaries}
    pixels = columns.pop("pixels")
    rows = (
        (name, int(pixels[i]), *(round(float(column[i]), 6) if pixels[i] else "" for column in columns.values()))
        for i, name in enumerate(classes)
    )
    write_csv(folder / "per_class.csv", ("class", "pixels", *columns), rows)
    each = zip(keys, tally.rows["iou"].tolist(), tally.rows["accuracy"].tolist(), strict=True)
    write_csv(folder / "samples.csv", ("file", "iou", "accuracy"), ((k, round(a, 6), round(b, 6)) for k, a, b in each))
    counts = np.rint(confusion).astype(np.int64)
    if len(classes) <= MAX_COLUMNS:
        table = ((name, *row) for name, row in zip(classes, counts.tolist(), strict=True))
        write_csv(folder / "confusion.csv", ("class \\ predicted", *classes), table)
    chosen = np.sort(np.argsort(-pixels, kind="stable")[:MAX_NAMED_CLASSES])
    names = class_names(tuple(classes))
    share = 100 * counts[np.ix_(chosen, chosen)] / np.maximum(pixels[chosen, None], 1)
    confusion_matrix(
        np.rint(share).astype(np.int64),
        np.full(len(chosen), 100),
        [names[i] for i in chosen],
        folder / "figures" / "confusion_matrix.png",
        title="percent of a class' pixels",
    )
    met = boundaries[(pixels > 0) & ~np.isnan(boundaries)]
    return {"boundary_f1": float(met.mean()) if met.size else 0.0}
