"""Accuracy against a mixed target."""

from torch import Tensor


def hits(scores: Tensor, target: Tensor, k: int) -> Tensor:
    """Compute float [n]: how much of the target's weight lies on the `k` best classes of scores [n, K]; target [n, K].

    This is mixup's accuracy: lam where the one label is met, 1 - lam where the other is. With one-hot targets it is
    top-k accuracy. For K < k every sample is right.
    """
    best = scores.topk(min(k, scores.shape[1]), dim=1).indices
    return target.gather(1, best).sum(1)


def attainable(target: Tensor, k: int) -> Tensor:
    """Compute float [n]: the most that `hits` can be, whatever is predicted.

    The sum of `hits` over the sum of these is 1 for a perfect model, however much was mixed: so runs with and without
    mixing can be compared.
    """
    return target.topk(min(k, target.shape[1]), dim=1).values.sum(1)
