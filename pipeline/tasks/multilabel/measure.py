"""What scores say of sets: F1 of what is said, and average precision a class."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

PREDICTED_FROM = 0.5
"""A class with at least this score is what the model says."""
BINS = 1024
WIDEST = 16.0
"""`sums` counts a class' scores in so many equal bins of their logit between -WIDEST and WIDEST."""
_COUNTS = 4  # loss, right answers, answers, true labels


def sums(probabilities: "Tensor", targets: "Tensor", weights: "Tensor", training: bool = False) -> "Tensor":
    """Compute float64 [4 + 2 * BINS * K + 1]: loss, right answers, answers, true labels, counts of scores, samples.

    The counts are of true ones and of all, [K, BINS] each: average precision needs an order of all samples, and in
    bins that order adds up over ranks. In `training` they are left out. Of mixed samples, those classes count as true
    that a model with the target's own scores would say: it has an F1 of 1, as it would without mixing.
    """
    import torch

    n, num_classes = probabilities.shape
    soft, weight = targets.double(), weights.double()[:, None]
    likely = probabilities.double().clamp(1e-12, 1 - 1e-12)
    loss = -(soft * likely.log() + (1 - soft) * (1 - likely).log()).mean(1, keepdim=True)
    predicted, hot = (probabilities >= PREDICTED_FROM).double(), (soft >= PREDICTED_FROM).double()
    counts = torch.stack([(column * weight).sum() for column in (loss, predicted * hot, predicted, hot)])
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
    """Compute `loss`, `f1` and, unless the sums are of training, `mAP` of the scores in their bins."""
    values = np.asarray(sums, np.float64)
    loss, right, predicted, true = values[:_COUNTS]
    measured = {"loss": float(loss / max(values[-1], 1.0)), "f1": float(2 * right / max(predicted + true, 1.0))}
    if len(values) > _COUNTS + 1:
        positives, everything = values[_COUNTS:-1].reshape(2, -1, BINS)
        measured["mAP"] = mean_of_measured(average_precision(positives[:, ::-1], everything[:, ::-1]))
    return measured


def average_precision(positives: np.ndarray, everything: np.ndarray) -> np.ndarray:
    """Compute the area under precision over recall, as steps: the sum of precision x what recall gains, threshold by
    threshold.

    Both are counts [..., thresholds] from the highest score down: true ones and all with that score. Not interpolated,
    as scikit-learn's `average_precision_score`. NaN where there is no true one.
    """
    hits, predicted = positives.cumsum(-1), everything.cumsum(-1)
    gained = (positives * hits / np.maximum(predicted, 1)).sum(-1)
    total = positives.sum(-1)
    return np.where(total > 0, gained / np.maximum(total, 1), np.nan)


def exact_average_precision(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Compute float64 [K]: `average_precision` with every score a threshold of its own; scores, targets [n, K]."""
    result = np.full(scores.shape[1], np.nan)
    for k in np.flatnonzero(targets.any(0)):
        score, hot = scores[:, k], targets[:, k]
        _, place = np.unique(-score, return_inverse=True)
        count = place.max(initial=-1) + 1
        result[k] = average_precision(np.bincount(place, hot, count), np.bincount(place, minlength=count))
    return result


def mean_of_measured(values: np.ndarray) -> float:
    """Return the mean over the classes that have a true sample; 0 when none has."""
    measured = values[~np.isnan(values)]
    return float(measured.mean()) if len(measured) else 0.0


def named(hot: np.ndarray, classes: tuple[str, ...]) -> str:
    """Return the names of the classes that are set in [K]."""
    return ", ".join(classes[i] for i in np.flatnonzero(hot)) or "none"
