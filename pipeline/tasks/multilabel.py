"""Multi-label classification: a sample has any number of labels, each class is a question of its own.

A target is multi-hot. The loss is binary cross-entropy (a sigmoid a class), the mean over classes; the metrics are mAP
and micro-averaged F1 of what scores `SAID` or more.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.tasks.tables import MAX_COLUMNS, write_csv

if TYPE_CHECKING:
    from torch import Tensor

METRICS = ("loss", "f1", "mAP")
HEADLINE, TITLE = "mAP", "mAP"
IN_TRAINING = ("loss", "f1")
ANSWER = {"labels": "list of string", "scores": "list of double"}
SAID = 0.5
"""A class with at least this score is what the model says."""
BINS = 1024
WIDEST = 16.0
"""`sums` counts a class' scores in so many equal bins of their logit between -WIDEST and WIDEST."""
_COUNTS = 4  # loss, right answers, answers, true labels


def target_layout(num_classes: int) -> tuple[np.dtype, tuple[int, ...]]:
    """1 for each class that the sample has, else 0."""
    return np.dtype(np.uint8), (num_classes,)


def put_target(targets: np.ndarray, i: int, label: int | tuple[int, ...]) -> None:
    """Write a sample's set of class numbers as target `i`."""
    targets[i] = 0
    targets[i, list(label) if isinstance(label, tuple) else [label]] = 1


def mixed_targets(targets: "Tensor", index: "Tensor", weights: "Tensor", num_classes: int) -> "Tensor":
    """float [n, K]: each class' share in the mixed samples; targets uint8 [n, K]."""
    from augment.mixing.base import mix_targets

    return mix_targets(targets.to(weights.dtype), index, weights)


def loss_sum(
    logits: "Tensor",
    targets: "Tensor",
    weights: "Tensor",
    label_smoothing: float,
    class_weights: "Tensor | None" = None,
) -> "Tensor":
    """Binary cross-entropy, the mean over classes, summed over samples.

    logits float [n, K], targets uint8 or mixed float [n, K], weights float [n]. With label smoothing eps a target t is
    t * (1 - eps) + eps / 2: each class is a choice of two. Class weights float [K] count a class' true labels, the
    others count 1.
    """
    from torch.nn import functional

    soft = targets.float() * (1 - label_smoothing) + label_smoothing / 2
    each = functional.binary_cross_entropy_with_logits(logits.float(), soft, reduction="none", pos_weight=class_weights)
    return (each.mean(1) * weights).sum()


def balanced(counts: Sequence[int], samples: int) -> list[float]:
    """(N - n_k) / n_k, the weight by which a class' true labels count as much as the others; N is `samples`.

    A class that none or every sample has gets 1.

    >>> balanced([1, 3, 4, 0], 4)
    [3.0, 0.3333333333333333, 1.0, 1.0]
    """
    return [(samples - count) / count if 0 < count < samples else 1.0 for count in counts]


def scores(logits: "Tensor") -> "Tensor":
    """A probability a class."""
    return logits.float().sigmoid()


def num_sums(num_classes: int) -> int:
    """Length of `sums`."""
    return _COUNTS + 2 * BINS * num_classes + 1


def sums(probabilities: "Tensor", targets: "Tensor", weights: "Tensor", training: bool = False) -> "Tensor":
    """float64 [4 + 2 * BINS * K + 1]: loss, right answers, answers, true labels, counts of scores, samples.

    The counts are of true ones and of all, [K, BINS] each: average precision needs an order of all samples, and in
    bins that order adds up over ranks. In `training` they are left out. Of mixed samples, those classes count as true
    that a model with the target's own scores would say: it has an F1 of 1, as it would without mixing.
    """
    import torch

    n, num_classes = probabilities.shape
    soft, weight = targets.double(), weights.double()[:, None]
    likely = probabilities.double().clamp(1e-12, 1 - 1e-12)
    loss = -(soft * likely.log() + (1 - soft) * (1 - likely).log()).mean(1, keepdim=True)
    said, hot = (probabilities >= SAID).double(), (soft >= SAID).double()
    counts = torch.stack([(column * weight).sum() for column in (loss, said * hot, said, hot)])
    if training:
        return torch.cat([counts, weight.sum()[None]])
    bins = ((likely.logit() + WIDEST) * (BINS / (2 * WIDEST))).long().clamp(0, BINS - 1)
    bins = (bins + BINS * torch.arange(num_classes, device=bins.device)).flatten()
    everything = weight.expand(n, num_classes)
    histograms = [
        torch.bincount(bins, weights=each.flatten(), minlength=BINS * num_classes)
        for each in (hot * everything, everything)
    ]
    return torch.cat([counts, *histograms, weight.sum()[None]])


def metrics(sums: np.ndarray) -> dict[str, float]:
    """`loss`, `f1` and, unless the sums are of training, `mAP` of the scores in their bins."""
    values = np.asarray(sums, np.float64)
    loss, right, said, true = values[:_COUNTS]
    measured = {"loss": float(loss / max(values[-1], 1.0)), "f1": float(2 * right / max(said + true, 1.0))}
    if len(values) > _COUNTS + 1:
        positives, everything = values[_COUNTS:-1].reshape(2, -1, BINS)
        measured["mAP"] = mean_of_measured(average_precision(positives[:, ::-1], everything[:, ::-1]))
    return measured


def average_precision(positives: np.ndarray, everything: np.ndarray) -> np.ndarray:
    """Area under precision over recall, as steps: the sum of precision x what recall gains, threshold by threshold.

    Both are counts [..., thresholds] from the highest score down: true ones and all with that score. Not interpolated,
    as scikit-learn's `average_precision_score`. NaN where there is no true one.
    """
    hits, said = positives.cumsum(-1), everything.cumsum(-1)
    gained = (positives * hits / np.maximum(said, 1)).sum(-1)
    total = positives.sum(-1)
    return np.where(total > 0, gained / np.maximum(total, 1), np.nan)


def exact_average_precision(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """float64 [K]: `average_precision` with every score a threshold of its own; scores, targets [n, K]."""
    result = np.full(scores.shape[1], np.nan)
    for k in np.flatnonzero(targets.any(0)):
        score, hot = scores[:, k], targets[:, k]
        _, place = np.unique(-score, return_inverse=True)
        count = place.max(initial=-1) + 1
        result[k] = average_precision(np.bincount(place, hot, count), np.bincount(place, minlength=count))
    return result


def mean_of_measured(values: np.ndarray) -> float:
    """The mean over the classes that have a true sample; 0 when none has."""
    measured = values[~np.isnan(values)]
    return float(measured.mean()) if len(measured) else 0.0


def certainty(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The mean log-probability of what is true and of what is not, float [n]."""
    return np.log(np.clip(np.where(targets > 0, probabilities, 1 - probabilities), 1e-12, None)).mean(1)


def truth_text(target: np.ndarray, classes: tuple[str, ...]) -> str:
    """The names of the classes."""
    return ", ".join(classes[i] for i in np.flatnonzero(target)) or "none"


def answer_text(probabilities: np.ndarray, classes: tuple[str, ...]) -> tuple[str, float]:
    """The names of what is said, and how probable that whole answer is, taking the classes for independent."""
    said = probabilities >= SAID
    return truth_text(said, classes), float(np.where(said, probabilities, 1 - probabilities).prod())


def answers(probabilities: np.ndarray, classes: tuple[str, ...]) -> dict[str, list]:
    """What is said of each sample, the most probable label first, and these labels' scores."""
    labels, values = [], []
    for row in probabilities:
        said = [int(i) for i in np.argsort(-row, kind="stable") if row[i] >= SAID]
        labels.append([classes[i] for i in said])
        values.append([float(row[i]) for i in said])
    return {"labels": labels, "scores": values}


def _score_cells(scores: np.ndarray) -> list[str]:
    """A cell a class, or one for all; scores [K]."""
    if len(scores) <= MAX_COLUMNS:
        return [f"{score:.4f}" for score in scores]
    return [", ".join(f"{score:.4f}" for score in scores[scores >= SAID])]


def write_report(
    folder: Path, classes: tuple[str, ...], keys: list[str], targets: np.ndarray, probabilities: np.ndarray
) -> dict[str, float]:
    """`per_class.csv`, `predictions.csv` and average precision a class as a figure; returns the exact `mAP`.

    In the predictions each class has a column of scores; of more than `MAX_COLUMNS` classes there are the scores of
    what is said alone.
    """
    from pipeline.tracking.figures import class_bars
    from pipeline.tracking.fonts import class_names

    precision_of = exact_average_precision(probabilities, targets)
    said = probabilities >= SAID
    hits, samples, guesses = (said & (targets > 0)).sum(0), targets.sum(0, dtype=np.int64), said.sum(0)
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
        (key, truth_text(target, classes), truth_text(row >= SAID, classes), *_score_cells(row))
        for key, target, row in zip(keys, targets, probabilities, strict=True)
    )
    scored = classes if len(classes) <= MAX_COLUMNS else ("scores",)
    write_csv(folder / "predictions.csv", ("sample", "labels", "predicted", *scored), rows)
    path = folder / "figures" / "average_precision.png"
    class_bars(precision_of, samples, class_names(classes), "average precision", path)
    return {"mAP": mean_of_measured(precision_of)}
