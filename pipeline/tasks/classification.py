"""Classification: one label a sample."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.tasks.confusion import count_pairs, dense, most_confused, table
from pipeline.tasks.tables import MAX_COLUMNS, write_csv

if TYPE_CHECKING:
    from torch import Tensor

METRICS = ("loss", "top1", "top5")
TOP = (1, 5)
HEADLINE, TITLE = "top1", "top-1"
IN_TRAINING = ("loss", "top1")
ANSWER = {"label": "string", "score": "double"}


def target_layout(num_classes: int) -> tuple[np.dtype, tuple[int, ...]]:
    """A class number."""
    return np.dtype(np.int64), ()


def put_target(targets: np.ndarray, i: int, label: int | tuple[int, ...]) -> None:
    """Write a sample's class number as target `i`."""
    targets[i] = label


def mixed_targets(labels: "Tensor", index: "Tensor", weights: "Tensor", num_classes: int) -> "Tensor":
    """float [n, K]: each class' share in the mixed samples; labels int64 [n]."""
    from augment.mixing.base import soft_targets

    return soft_targets(labels, index, weights, num_classes)


def loss_sum(
    logits: "Tensor",
    targets: "Tensor",
    weights: "Tensor",
    label_smoothing: float,
    class_weights: "Tensor | None" = None,
) -> "Tensor":
    """Cross-entropy with label smoothing in the eps/K form (Szegedy et al. 2016, section 7), summed over samples.

    logits float [n, K], targets int64 [n] or soft ones, float [n, K], which are smoothed as they are: mixing comes
    first. weights float [n] (0 for a sample that only fills up a rank). With class weights w float [K], class k's term
    of the sum over classes counts w_k times; it is not divided by their sum in a batch, which would tell ranks apart.
    """
    from torch.nn import functional

    each = functional.cross_entropy(
        logits.float(), targets, class_weights, reduction="none", label_smoothing=label_smoothing
    )
    return (each * weights).sum()


def balanced(counts: Sequence[int], samples: int) -> list[float]:
    """N / (K * n_k) for n_k of N samples, K classes that have any: a sample counts 1 on average.

    A class without samples gets 1.

    >>> balanced([6, 2, 0], 8)
    [0.6666666666666666, 2.0, 1.0]
    """
    present = sum(count > 0 for count in counts)
    return [samples / (present * count) if count else 1.0 for count in counts]


def scores(logits: "Tensor") -> "Tensor":
    """Probabilities, which add up to 1."""
    return logits.float().softmax(-1)


def num_sums(num_classes: int) -> int:
    """Length of `sums`."""
    return 2 * len(TOP) + 2


def sums(probabilities: "Tensor", targets: "Tensor", weights: "Tensor", training: bool = False) -> "Tensor":
    """float64 [6]: summed loss, top-1 and top-5 hits, the most that each can be, and samples.

    probabilities float [n, K], averaged over a sample's views; targets int64 [n] or soft ones, float [n, K]; a sample
    of weight 0 does not count. Ranks add these up before they divide.
    """
    import torch
    from torch.nn import functional

    from augment.mixing.accuracy import attainable, hits

    soft = targets if targets.is_floating_point() else functional.one_hot(targets, probabilities.shape[1]).float()
    loss = -(soft * probabilities.clamp_min(1e-12).log()).sum(1)
    met = [hits(probabilities, soft, k) for k in TOP]
    most = [attainable(soft, k) for k in TOP]
    return torch.stack([(column * weights).double().sum() for column in (loss, *met, *most, torch.ones_like(loss))])


def metrics(sums: Iterable[float]) -> dict[str, float]:
    """`sums` of all samples: `loss` in nats, the mean; `top1` and `top5` as shares of what can be met.

    Of samples with one label that is every sample; so accuracies with and without mixing can be compared.
    """
    loss, top1, top5, most1, most5, samples = (float(value) for value in sums)
    shares = [met / most if most else 0.0 for met, most in ((top1, most1), (top5, most5))]
    return dict(zip(METRICS, (loss / max(samples, 1.0), *shares), strict=True))


def certainty(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probability of the true class, float [n]."""
    return probabilities[np.arange(len(labels)), labels]


def truth_text(target: np.ndarray, classes: tuple[str, ...]) -> str:
    """The name of the class."""
    return classes[int(target)]


def answer_text(probabilities: np.ndarray, classes: tuple[str, ...]) -> tuple[str, float]:
    """The best class and its probability."""
    best = int(probabilities.argmax())
    return classes[best], float(probabilities[best])


def answers(probabilities: np.ndarray, classes: tuple[str, ...]) -> dict[str, list]:
    """The best class of each sample and its probability."""
    said = [answer_text(row, classes) for row in probabilities]
    return {"label": [label for label, _ in said], "score": [score for _, score in said]}


def write_report(
    folder: Path, classes: tuple[str, ...], keys: list[str], labels: np.ndarray, probabilities: np.ndarray
) -> dict[str, float]:
    """`per_class.csv`, `confusion.csv`, `predictions.csv` and the confusion matrix as a figure.

    Of more than `MAX_COLUMNS` classes the table lists the pairs that occur, and the figure shows the most confused
    classes.
    """
    from pipeline.tracking.figures import MAX_NAMED_CLASSES, confusion_matrix
    from pipeline.tracking.fonts import class_names

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
        (key, classes[label], classes[said], f"{score:.4f}")
        for key, label, said, score in zip(keys, labels, predicted, probabilities.max(1), strict=True)
    )
    write_csv(folder / "predictions.csv", ("sample", "class", "predicted", "score"), rows)
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
    return {}
