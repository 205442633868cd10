"""Top-1 and top-5 accuracy."""

import torch
from torch import Tensor
from torch.nn import functional

from augment.mixing.accuracy import attainable, hits

TOP = (1, 5)


def sums(probabilities: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Compute float64 [6]: summed loss, top-1 and top-5 hits, the most that each can be, and samples.

    probabilities float [n, K], averaged over a sample's views; targets int64 [n] or soft ones, float [n, K]; a sample
    of weight 0 does not count. Ranks add these up before they divide.
    """
    soft = targets if targets.is_floating_point() else functional.one_hot(targets, probabilities.shape[1]).float()
    loss = -(soft * probabilities.clamp_min(1e-12).log()).sum(1)
    met = [hits(probabilities, soft, k) for k in TOP]
    most = [attainable(soft, k) for k in TOP]
    return torch.stack([(column * weights).double().sum() for column in (loss, *met, *most, torch.ones_like(loss))])
