"""Classification: one label a sample."""

import torch
from torch import Tensor
from torch.nn import functional


def loss_sum(logits: Tensor, labels: Tensor, weights: Tensor, label_smoothing: float) -> Tensor:
    """Cross-entropy with label smoothing in the eps/K form (Szegedy et al. 2016, section 7), summed over samples.

    logits float [n, K], labels int64 [n], weights float [n] (0 for a sample that only fills up a rank).
    """
    each = functional.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing, reduction="none")
    return (each * weights).sum()


def correct(scores: Tensor, labels: Tensor, k: int) -> Tensor:
    """bool [n]: whether the label is among the `k` best of scores [n, K]; for K < k every sample is right."""
    best = scores.topk(min(k, scores.shape[1]), dim=1).indices
    return (best == labels[:, None]).any(dim=1)


def sums(probabilities: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """float64 [4]: summed loss, top-1 and top-5 hits, and samples; what ranks add up before they divide.

    probabilities float [n, K], averaged over a sample's views; a sample of weight 0 does not count.
    """
    loss = -probabilities.gather(1, labels[:, None]).squeeze(1).clamp_min(1e-12).log()
    columns = [loss, correct(probabilities, labels, 1), correct(probabilities, labels, 5), torch.ones_like(loss)]
    return torch.stack([(column * weights).double().sum() for column in columns])
