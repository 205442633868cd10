import math

import pytest
import torch
from torch.nn import functional

from pipeline.tasks import classification
from pipeline.tasks.classification import metrics

LOGITS = torch.tensor([[2.0, 0.5, -1.0], [0.0, 0.0, 3.0], [1.0, 2.0, 3.0]])
LABELS = torch.tensor([0, 2, 0])
ONES = torch.ones(3)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_that_of_torch_summed(smoothing: float) -> None:
    expected = functional.cross_entropy(LOGITS, LABELS, label_smoothing=smoothing, reduction="sum")
    assert torch.equal(classification.loss_sum(LOGITS, LABELS, ONES, smoothing), expected)


def test_label_smoothing_is_the_eps_over_k_form() -> None:
    target = 0.9 * functional.one_hot(LABELS, 3) + 0.1 / 3
    expected = -(target * LOGITS.log_softmax(1)).sum()
    assert classification.loss_sum(LOGITS, LABELS, ONES, 0.1).item() == pytest.approx(expected.item())


def test_a_sample_of_weight_zero_counts_nowhere_and_has_no_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    weights = torch.tensor([1.0, 0.0, 1.0])
    loss = classification.loss_sum(logits, LABELS, weights, 0.1)
    loss.backward()
    kept = [0, 2]
    assert loss.item() == pytest.approx(classification.loss_sum(LOGITS[kept], LABELS[kept], ONES[:2], 0.1).item())
    assert logits.grad is not None
    assert logits.grad[1].abs().sum() == 0
    assert logits.grad[0].abs().sum() > 0
    sums = classification.sums(LOGITS.softmax(1), LABELS, weights)
    assert torch.equal(sums, classification.sums(LOGITS[kept].softmax(1), LABELS[kept], ONES[:2]))


def test_half_precision_logits_are_lossed_in_single() -> None:
    exact = classification.loss_sum(LOGITS, LABELS, ONES, 0.0)
    assert classification.loss_sum(LOGITS.bfloat16(), LABELS, ONES, 0.0).dtype == torch.float32
    assert classification.loss_sum(LOGITS.half(), LABELS, ONES, 0.0).item() == pytest.approx(exact.item(), rel=1e-3)


def test_correct_among_the_best() -> None:
    scores = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    labels = torch.tensor([2, 2])
    assert classification.correct(scores, labels, 1).tolist() == [False, False]
    assert classification.correct(scores, labels, 2).tolist() == [True, False]
    assert classification.correct(scores, labels, 3).tolist() == [True, True]
    assert classification.correct(scores, labels, 9).tolist() == [True, True]


def test_sums_and_means() -> None:
    probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    sums = classification.sums(probabilities, torch.tensor([0, 2, 2]), ONES)
    assert sums.dtype == torch.float64
    assert sums.tolist() == pytest.approx([-math.log(0.5) - math.log(0.1) - math.log(0.6), 2, 3, 3])
    assert metrics(sums.tolist()) == pytest.approx({"loss": sums[0].item() / 3, "top1": 2 / 3, "top5": 1.0})


def test_a_probability_of_zero_has_a_finite_loss() -> None:
    sums = classification.sums(torch.tensor([[0.0, 1.0]]), torch.tensor([0]), torch.ones(1))
    assert sums[0].item() == pytest.approx(-math.log(1e-12))


def test_metrics_of_no_sample_are_zero() -> None:
    assert metrics([0.0, 0.0, 0.0, 0.0]) == {"loss": 0.0, "top1": 0.0, "top5": 0.0}
