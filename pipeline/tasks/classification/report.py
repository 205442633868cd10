"""Tables and a figure of what was taken for what."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.figures.figures import MAX_NAMED_CLASSES, confusion_matrix
from pipeline.figures.fonts import class_names
from pipeline.tasks.classification.confusion import count_pairs, dense, most_confused, table
from pipeline.tasks.tables import MAX_COLUMNS, write_csv


def write_report(
    folder: Path, classes: tuple[str, ...], keys: Sequence[str], labels: np.ndarray, probabilities: np.ndarray
) -> None:
    """Write `per_class.csv`, `confusion.csv`, `predictions.csv` and the confusion matrix as a figure.

    Of more than `MAX_COLUMNS` classes the table lists the pairs that occur, and the figure shows the most confused
    classes.
    """
    num_classes, predicted = len(classes), probabilities.argmax(1)
    hits, samples, guesses = (
        np.bincount(each, minlength=num_classes) for each in (labels[labels == predicted], labels, predicted)
    )
    per_class = (
        (name, samples[i], hits[i] / samples[i] if samples[i] else "", hits[i] / guesses[i] if guesses[i] else "")
        for i, name in enumerate(classes)
    )
    write_csv(folder / "per_class.csv", ("class", "samples", "recall", "precision"), per_class)
    pairs = count_pairs(labels, predicted, num_classes)
    write_csv(folder / "confusion.csv", *table(pairs, classes))
    rows = (
        (key, classes[label], classes[guess], f"{score:.4f}")
        for key, label, guess, score in zip(keys, labels, predicted, probabilities.max(1), strict=True)
    )
    write_csv(folder / "predictions.csv", ("file", "class", "predicted", "score"), rows)
    is_whole = num_classes <= MAX_COLUMNS
    chosen = np.arange(num_classes) if is_whole else most_confused(pairs, num_classes, MAX_NAMED_CLASSES)
    names = class_names(classes)
    confusion_matrix(
        dense(pairs, chosen),
        samples[chosen],
        [names[i] for i in chosen],
        folder / "figures" / "confusion_matrix.png",
        title="" if is_whole else f"the {len(chosen)} of {num_classes:,} classes that are confused most often",
    )
