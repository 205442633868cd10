"""What multi-label classification learns from."""

import torch
from torch import Tensor
from torch.nn import functional


def binary_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Compute binary cross-entropy, the mean over classes, summed over samples.

    logits float [n, K], targets uint8 or mixed float [n, K], weights float [n]. With label smoothing eps a target t is
    t * (1 - eps) + eps / 2: each class is a choice of two. Class weights float [K] count a class' true labels, the
    others count 1.
    """
    soft = targets.float() * (1 - label_smoothing) + label_smoothing / 2
    each = functional.binary_cross_entropy_with_logits(logits.float(), soft, reduction="none", pos_weight=class_weights)
    return (each.mean(1) * weights).sum()


def binary_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute float [n]: `classification.loss.divergence` for a choice of two a class, the mean over classes."""
    answer, taught = (
        torch.stack([functional.logsigmoid(x.float() / temperature), functional.logsigmoid(-x.float() / temperature)])
        for x in (student, teacher)
    )
    return temperature**2 * functional.kl_div(answer, taught, log_target=True, reduction="none").sum(0).mean(1)
