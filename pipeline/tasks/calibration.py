"""Whether a model is as often right as it says: ECE, Brier score, likelihood, and a temperature that mends it.

n samples, K classes.
"""

from typing import NamedTuple

import numpy as np

BINS = 15
"""Guo et al. 2017, "On calibration of modern neural networks", section 5."""
MOST = 5000
"""Samples that a temperature is fitted on."""
TINY = 1e-12
COLDEST, HOTTEST = 0.05, 20.0


class Calibration(NamedTuple):
    """What there is to say: how sure each answer is, float [m], whether it is right, bool [m], numbers, a remark."""

    confidence: np.ndarray
    right: np.ndarray
    numbers: dict[str, float]
    remark: str = ""


class Bins(NamedTuple):
    """Of each bin of confidence that has answers: their number, mean confidence and share of right ones, [bins]."""

    answers: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def bins(confidence: np.ndarray, right: np.ndarray, count: int = BINS) -> Bins:
    """Part answers into bins of equal width; the first one ends at 1 / `count`, included."""
    place = np.clip(np.ceil(confidence * count).astype(int) - 1, 0, count - 1)
    number = np.bincount(place, minlength=count)
    there = number > 0
    sure, hits = (np.bincount(place, weights=each, minlength=count)[there] for each in (confidence, right))
    return Bins(number[there], sure / number[there], hits / number[there])


def ece(confidence: np.ndarray, right: np.ndarray) -> float:
    """Compute the expected calibration error (Guo et al. 2017, equation 3): 0 is perfect; NaN of nothing."""
    if not len(confidence):
        return float("nan")
    found = bins(confidence, right)
    return float((found.answers * np.abs(found.accuracy - found.confidence)).sum() / found.answers.sum())


def of_classes(
    scores: np.ndarray, labels: np.ndarray, fitted_on: tuple[np.ndarray, np.ndarray] | None = None
) -> Calibration:
    """Judge probabilities [n, K] that add up to 1, of samples with one class each, int [n].

    The temperature is fitted on the scores and labels of another split. Without these, it is fitted on every second
    sample and tried on the others, and the other way round, so that what is said of it was not fitted to.
    """
    n = len(labels)
    best, right = scores.max(1), scores.argmax(1) == labels
    true = scores[np.arange(n), labels]
    numbers = {
        "ECE": ece(best, right),
        "Brier score": float((np.square(scores).sum(1) - 2 * true + 1).mean()) if n else float("nan"),
        "NLL": float(-np.log(np.maximum(true, TINY)).mean()) if n else float("nan"),
    }
    if fitted_on and n and len(fitted_on[1]):
        warmth = temperature(*fitted_on)
        cooled = tempered(scores, warmth)
        numbers |= _with(warmth, cooled.max(1), right, cooled[np.arange(n), labels])
        return Calibration(best, right, numbers, "The temperature was fitted on the validation split.")
    if n < 2:
        return Calibration(best, right, numbers)
    halves = [np.arange(n) % 2 == 0, np.arange(n) % 2 == 1]
    mended, after = np.empty(n), np.empty(n)
    for fitted, tried in (halves, halves[::-1]):
        cooled = tempered(scores[tried], temperature(scores[fitted], labels[fitted]))
        mended[tried], after[tried] = cooled.max(1), cooled[np.arange(len(cooled)), labels[tried]]
    numbers |= _with(temperature(scores, labels), mended, right, after)
    remark = "With it: each half of the samples by the temperature of the other half."
    return Calibration(best, right, numbers, remark)


def _with(warmth: float, best: np.ndarray, right: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Return a temperature, and what the scores of the best and of the true class come to with it."""
    nll = float(-np.log(np.maximum(true, TINY)).mean())
    return {"temperature": warmth, "ECE with it": ece(best, right), "NLL with it": nll}


def of_sets(scores: np.ndarray, hot: np.ndarray) -> Calibration:
    """Judge a probability for each class [n, K] of samples with any number of classes; a class counts as an answer."""
    said = scores >= 0.5
    true = np.where(hot > 0, scores, 1 - scores)
    confidence, right = np.where(said, scores, 1 - scores).ravel(), (said == (hot > 0)).ravel()
    numbers = {
        "ECE": ece(confidence, right),
        "Brier score": float(np.square(1 - true).mean()) if true.size else float("nan"),
        "NLL": float(-np.log(np.maximum(true, TINY)).mean()) if true.size else float("nan"),
    }
    return Calibration(confidence, right, numbers, "Each class of each sample counts as an answer.")


def tempered(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits of probabilities [n, K] by a temperature: above 1 they become less sure."""
    logits = np.log(np.maximum(scores, TINY)) / temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """Fit the temperature with the greatest likelihood, from 0.05 to 20 (Guo et al. 2017, section 4.2).

    By at most 5,000 of the samples, evenly picked.
    """
    from scipy.optimize import minimize_scalar

    picked = np.linspace(0, len(labels) - 1, min(len(labels), MOST)).astype(int)
    logits, true = np.log(np.maximum(scores[picked], TINY)), labels[picked]

    def nll(log_temperature: float) -> float:
        cooled = logits / np.exp(log_temperature)
        top = cooled.max(1)
        sums = np.log(np.exp(cooled - top[:, None]).sum(1)) + top
        return float((sums - cooled[np.arange(len(true)), true]).mean())

    found = minimize_scalar(nll, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))
