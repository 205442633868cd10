"""Tables and figures of bodies that were found, and of their joints."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.figures.shares import bar_panels, class_lines
from pipeline.recipe.bodies import Skeleton
from pipeline.tasks.detection.match import unpacked
from pipeline.tasks.detection.precision import RECALLS, accumulate
from pipeline.tasks.keypoints.measure import numbers
from pipeline.tasks.keypoints.oks import SHARE
from pipeline.tasks.tables import write_csv

CURVES = (0.5, 0.75, 0.9)
"""OKS of the curves."""


def write_report(
    folder: Path, body: Skeleton, keys: Sequence[str], rows: Mapping[str, np.ndarray], objects: np.ndarray
) -> dict[str, float]:
    """Write `per_joint.csv` and `samples.csv`; PCK of joints and precision over recall as figures.

    Returns the numbers of `measure.numbers`.
    """
    figures = folder / "figures"
    right, labelled = (rows[name].astype(np.int64).sum(0) for name in ("right", "labelled"))
    shares = right / np.maximum(labelled, 1)
    table = zip(body.joints, labelled.tolist(), right.tolist(), shares.round(6).tolist(), strict=True)
    write_csv(folder / "per_joint.csv", ("joint", "labelled", "right", f"PCK@{SHARE:g}"), table)
    title = f"share of joints within {SHARE:g} of {body.reference}"
    bar_panels([(title, dict(zip(body.joints, shares.tolist(), strict=True)), "{:.2f}")], figures / "per_joint.png")
    said = (rows["kind"] >= 0) & ~unpacked(rows["ignored"])
    found = (said & unpacked(rows["matched"])).sum(1)
    columns = (rows["objects"], said.sum(1), found, rows["right"].sum(1), rows["labelled"].sum(1))
    lines = zip(keys, *(column.tolist() for column in columns), rows["oks"].round(6).tolist(), strict=True)
    write_csv(folder / "samples.csv", ("file", "bodies", "said", "found", "right", "labelled", "OKS"), lines)
    if objects[0, 0]:
        precision = accumulate(rows, objects).precision[:, :, 0, 0, -1]
        at = {f"{precision[t].mean():.2f} OKS {0.5 + 0.05 * t:.2f}": precision[t] for t in _thresholds()}
        whole = (f"{precision.mean():.2f} mean of 0.50 to 0.95", precision.mean(0))
        class_lines(RECALLS, at, whole, ("recall", "precision"), figures / "precision_recall.png")
    return numbers(rows, objects)


def _thresholds() -> list[int]:
    return [round((oks - 0.5) / 0.05) for oks in CURVES]
