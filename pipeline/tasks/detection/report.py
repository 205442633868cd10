"""Tables and figures of what was found, how well, and what went wrong."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.figures.figures import MAX_NAMED_CLASSES, confusion_matrix
from pipeline.figures.fonts import class_names
from pipeline.figures.shares import bar_panels, class_lines
from pipeline.tasks.detection.assign import AREAS
from pipeline.tasks.detection.curves import THRESHOLDS, Curves, best, best_thresholds, counts, curves, picture_f1
from pipeline.tasks.detection.errors import confusion, error_counts, gains
from pipeline.tasks.detection.match import Rows, unpacked
from pipeline.tasks.detection.precision import (
    RECALLS,
    UNKNOWN,
    Accumulated,
    accumulate,
    class_precision,
    coco_numbers,
    mean_known,
)
from pipeline.tasks.detection.voc import average_precision
from pipeline.tasks.tables import MAX_COLUMNS, write_csv

BACKGROUND = "background"


def write_report(
    folder: Path, classes: Sequence[str], keys: Sequence[str], rows: Rows, objects: np.ndarray
) -> dict[str, float]:
    """Write tables and figures of rows of all pictures and the objects that count, int [K, A].

    `per_class.csv`, `sizes.csv`, `errors.csv`, `confusion.csv` and `samples.csv`; precision over recall, F1 over the
    score, the confusion matrix, errors and sizes as figures. Figures of what the split lacks are left empty. What has
    to say yes or no says it from the score on at which F1, of all classes together, is best.

    Returns COCO's twelve numbers, VOC's two, that F1 and its threshold.
    """
    figures, names = folder / "figures", class_names(tuple(classes))
    accumulated, voc = accumulate(rows, objects), average_precision(rows, objects)
    right, said = counts(rows, len(classes))
    each, pooled = curves(right, said, objects[:, 0]), curves(right.sum(0), said.sum(0), objects[:, 0].sum())
    place = best(pooled.f1)
    threshold = float(THRESHOLDS[place])
    _write_classes(folder, classes, objects, accumulated, voc, each, best_thresholds(each, threshold))
    _write_samples(folder, keys, rows, threshold)
    _write_sizes(folder, accumulated, objects)
    _write_errors(folder, rows, objects, threshold)
    _write_confusion(folder, classes, names, confusion(rows, objects, threshold), threshold)
    present = np.flatnonzero(objects[:, 0])
    at_half = accumulated.precision[0, :, :, 0, -1]
    if present.size:
        lines = {f"{at_half[:, k].mean():.2f} {names[k]}": at_half[:, k] for k in present}
        mean = at_half[:, present].mean(1)
        whole = (f"{mean.mean():.2f} all classes", mean)
        class_lines(RECALLS, lines, whole, ("recall", "precision at an IoU of 0.5"), figures / "precision_recall.png")
        lines = {f"{each.f1[k].max():.2f} {names[k]}": each.f1[k] for k in present}
        whole = (f"{pooled.f1[place]:.2f} together, at {threshold:.2f}", pooled.f1)
        class_lines(THRESHOLDS, lines, whole, ("score from which on it counts", "F1"), figures / "f1.png", threshold)
    return {
        **coco_numbers(accumulated),
        **dict(zip(("VOC07", "VOC12"), map(mean_known, voc), strict=True)),
        "F1": float(pooled.f1[place]),
        "threshold": threshold,
    }


def _write_classes(
    folder: Path,
    classes: Sequence[str],
    objects: np.ndarray,
    accumulated: Accumulated,
    voc: np.ndarray,
    found: Curves,
    thresholds: np.ndarray,
) -> None:
    """A row a class; precision, recall and F1 are those at the class' own best threshold."""
    places = np.searchsorted(THRESHOLDS, thresholds)
    columns = {
        "AP": class_precision(accumulated),
        "AP50": class_precision(accumulated, 0.5),
        "AP75": class_precision(accumulated, 0.75),
        **{f"AP_{area}": class_precision(accumulated, area=area) for area in AREAS[1:]},
        **dict(zip(("VOC07", "VOC12"), voc, strict=True)),
        "threshold": thresholds,
        **{
            name: np.take_along_axis(values, places[:, None], 1)[:, 0]
            for name, values in zip(("precision", "recall", "F1"), found, strict=True)
        },
    }
    rows = (
        (name, int(objects[i, 0]), *(_cell(column[i]) if objects[i, 0] else "" for column in columns.values()))
        for i, name in enumerate(classes)
    )
    write_csv(folder / "per_class.csv", ("class", "objects", *columns), rows)


def _write_samples(folder: Path, keys: Sequence[str], rows: Rows, threshold: float) -> None:
    said = (rows["kind"] >= 0) & (rows["score"] >= threshold) & ~unpacked(rows["ignored"])
    right = (said & unpacked(rows["matched"])).sum(1).tolist()
    columns = (rows["objects"].tolist(), said.sum(1).tolist(), right, picture_f1(rows, threshold).round(6).tolist())
    write_csv(folder / "samples.csv", ("file", "objects", "said", "right", "F1"), zip(keys, *columns, strict=True))


def _write_sizes(folder: Path, accumulated: Accumulated, objects: np.ndarray) -> None:
    """AP and AR of each range of area."""
    counted = objects.sum(0)
    measures = [
        [mean_known(values[..., a, -1]) if counted[a] else np.nan for a in range(len(AREAS))] for values in accumulated
    ]
    lines = zip(AREAS, counted.tolist(), *([_cell(value) for value in each] for each in measures), strict=True)
    write_csv(folder / "sizes.csv", ("size", "objects", "AP", "AR_100"), lines)
    names = [f"{area} ({count})" for area, count in zip(AREAS, counted, strict=True)]
    panels = [
        (title, dict(zip(names, each, strict=True)), "{:.3f}")
        for title, each in zip(("AP", "AR, 100 detections"), measures, strict=True)
    ]
    bar_panels(panels, folder / "figures" / "sizes.png")


def _write_errors(folder: Path, rows: Rows, objects: np.ndarray, threshold: float) -> None:
    """How many there are of each kind, and what AP50 would gain without them."""
    number, gained = error_counts(rows, objects, threshold), gains(rows, objects)
    total = max(sum(number.values()), 1)
    lines = ((name, count, _cell(count / total), _cell(gained[name])) for name, count in number.items())
    write_csv(folder / "errors.csv", ("error", "count", "share", "AP50 gained"), lines)
    panels = [
        ("AP50 gained without it", gained, "{:.3f}"),
        (
            f"errors from a score of {threshold:.2f} on",
            {name: float(count) for name, count in number.items()},
            "{:.0f}",
        ),
    ]
    bar_panels(panels, folder / "figures" / "errors.png")


def _write_confusion(
    folder: Path, classes: Sequence[str], names: Sequence[str], matrix: np.ndarray, threshold: float
) -> None:
    if len(classes) < MAX_COLUMNS:
        table = ((name, *row) for name, row in zip((*classes, BACKGROUND), matrix.tolist(), strict=True))
        write_csv(folder / "confusion.csv", ("class \\ predicted", *classes, BACKGROUND), table)
    chosen = np.sort(np.argsort(-matrix[:-1].sum(1), kind="stable")[: MAX_NAMED_CLASSES - 1])
    chosen = np.append(chosen, len(classes))
    confusion_matrix(
        matrix[np.ix_(chosen, chosen)],
        matrix[chosen].sum(1),
        [*(names[i] for i in chosen[:-1]), BACKGROUND],
        folder / "figures" / "confusion_matrix.png",
        title=f"from a score of {threshold:.2f} on",
    )


def _cell(value: float) -> float | str:
    return "" if value == UNKNOWN or np.isnan(value) else round(float(value), 6)
