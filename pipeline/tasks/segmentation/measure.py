"""IoU and accuracies, all out of how many pixels of a class were taken for which.

n pictures of H x W px, K classes. Classes that the truth of a split lacks are left out of means; `absent` names them.
"""

from collections.abc import Sequence
from math import isqrt
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.decode.values import IGNORED


def confusions(answers: Tensor, mask: Tensor, num_classes: int) -> Tensor:
    """int64 [n, K, K]: in each picture, how many pixels of a true class (row) were taken for a class (column).

    answers uint8 [n, H, W], class numbers; mask uint8 [n, H, W], 255 where it does not count.
    """
    n, k = len(mask), num_classes
    picture = torch.arange(n, device=mask.device)[:, None, None]
    pairs = (picture * k + mask.long()) * k + answers.long()
    pairs = torch.where(mask == IGNORED, n * k * k, pairs)
    return pairs.flatten().bincount(minlength=n * k * k + 1)[:-1].reshape(n, k, k)


def nats(scores: Tensor, mask: Tensor) -> Tensor:
    """float32 [n]: each picture's cross-entropy, the mean over its known pixels, of probabilities [n, K, H, W].

    0 where nothing is known.
    """
    known = mask != IGNORED
    place = mask.long().clamp(max=scores.shape[1] - 1)[:, None]
    each = -scores.gather(1, place)[:, 0].clamp_min(1e-12).log() * known
    return each.sum((1, 2)) / known.sum((1, 2)).clamp_min(1)


def sums(losses: Tensor, found: Tensor, weights: Tensor) -> Tensor:
    """float64 [1 + K * K + 1]: the summed loss, the confusion row by row, and samples.

    losses float [n], `found` int64 [n, K, K] of `confusions`, weights float [n]; a sample of weight 0 does not count.
    """
    weights = weights.double()
    confusion = (found * weights[:, None, None]).sum(0)
    return torch.cat([(losses * weights).sum()[None], confusion.flatten(), weights.sum()[None]])


def confusion_of(summed: np.ndarray) -> np.ndarray:
    """Return the confusion float64 [K, K] in `sums`."""
    k = isqrt(len(summed) - 2)
    return summed[1:-1].reshape(k, k)


class PerClass(NamedTuple):
    """Of each class, float64 [K]: its pixels in the truth, and figures from 0 to 1, which are 0 where it has none."""

    pixels: np.ndarray
    iou: np.ndarray
    accuracy: np.ndarray
    dice: np.ndarray


def per_class(confusion: np.ndarray) -> PerClass:
    """IoU, accuracy (recall) and Dice of each class of a confusion [K, K]."""
    hits, pixels, said = np.diag(confusion).astype(float), confusion.sum(1).astype(float), confusion.sum(0)
    parts, wholes = (hits, hits, 2 * hits), (pixels + said - hits, pixels, pixels + said)
    return PerClass(pixels, *(part / np.where(pixels, whole, 1) for part, whole in zip(parts, wholes, strict=True)))


def metrics(summed: np.ndarray) -> dict[str, float]:
    """`loss`, `mIoU`, `pixel_accuracy`, `class_accuracy` (mean), `weighted_iou` (by frequency) and `dice` (mean).

    Long, Shelhamer and Darrell 2015, section 5, for IoU and accuracies. Means are over classes that the truth has; all
    are 0 where nothing is known.
    """
    confusion = confusion_of(summed)
    found = per_class(confusion)
    total, present = max(confusion.sum(), 1.0), max((found.pixels > 0).sum(), 1)
    return {
        "loss": float(summed[0] / max(summed[-1], 1.0)),
        "mIoU": float(found.iou.sum() / present),
        "pixel_accuracy": float(np.trace(confusion) / total),
        "class_accuracy": float(found.accuracy.sum() / present),
        "weighted_iou": float((found.iou * found.pixels).sum() / total),
        "dice": float(found.dice.sum() / present),
    }


def absent(confusion: np.ndarray, classes: Sequence[str]) -> list[str]:
    """List the classes without a pixel in the truth, which means leave out."""
    return [name for name, pixels in zip(classes, confusion.sum(1), strict=True) if not pixels]


def sample_ious(found: Tensor) -> Tensor:
    """float32 [n]: each picture's IoU, the mean over the classes in its truth, of `confusions` int64 [n, K, K].

    1 where nothing is known: nothing is wrong there.
    """
    hits, pixels, said = found.diagonal(dim1=1, dim2=2), found.sum(2), found.sum(1)
    iou = hits / (pixels + said - hits).clamp_min(1)
    present = pixels > 0
    count = present.sum(1)
    return torch.where(count > 0, (iou * present).sum(1) / count.clamp_min(1), 1.0)
