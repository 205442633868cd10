"""What classification learns from."""

from torch import Tensor
from torch.nn import functional


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Compute cross-entropy with label smoothing in the eps/K form (Szegedy et al. 2016, section 7), summed over
    samples.

    logits float [n, K], targets int64 [n] or soft ones, float [n, K], which are smoothed as they are: mixing comes
    first. weights float [n] (0 for a sample that only fills up a rank). With class weights w float [K], class k's term
    of the sum over classes counts w_k times; it is not divided by their sum in a batch, which would tell ranks apart.
    """
    each = functional.cross_entropy(
        logits.float(), targets, class_weights, reduction="none", label_smoothing=label_smoothing
    )
    return (each * weights).sum()


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute float [n]: T^2 * KL(softmax(teacher / T) || softmax(student / T)) of logits float [n, K].

    Hinton, Vinyals and Dean 2015, section 2. The factor keeps the gradient's size whatever the temperature.
    Cross-entropy has the same gradient, but is not 0 where both agree.
    """
    answer, taught = (functional.log_softmax(x.float() / temperature, 1) for x in (student, teacher))
    return temperature**2 * functional.kl_div(answer, taught, log_target=True, reduction="none").sum(1)
