import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from augment.mixing.base import soft_targets
from pipeline.tasks.base import Tally
from pipeline.tasks.classification import Classification
from pipeline.tasks.classification.loss import cross_entropy
from pipeline.tasks.classification.measure import sums as measure

LOGITS = torch.tensor([[2.0, 0.5, -1.0], [0.0, 0.0, 3.0], [1.0, 2.0, 3.0]])
LABELS = torch.tensor([0, 2, 0])
ONES = torch.ones(3)


def metrics(sums: list[float]) -> dict[str, float]:
    return Classification(tuple("abcdef")).metrics(Tally(np.array(sums)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_that_of_torch_summed(smoothing: float) -> None:
    expected = functional.cross_entropy(LOGITS, LABELS, label_smoothing=smoothing, reduction="sum")
    assert torch.equal(cross_entropy(LOGITS, LABELS, ONES, smoothing), expected)


def test_label_smoothing_is_the_eps_over_k_form() -> None:
    target = 0.9 * functional.one_hot(LABELS, 3) + 0.1 / 3
    expected = -(target * LOGITS.log_softmax(1)).sum()
    assert cross_entropy(LOGITS, LABELS, ONES, 0.1).item() == pytest.approx(expected.item())


def test_a_sample_of_weight_zero_counts_nowhere_and_has_no_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    weights = torch.tensor([1.0, 0.0, 1.0])
    loss = cross_entropy(logits, LABELS, weights, 0.1)
    loss.backward()
    kept = [0, 2]
    assert loss.item() == pytest.approx(cross_entropy(LOGITS[kept], LABELS[kept], ONES[:2], 0.1).item())
    assert logits.grad is not None
    assert logits.grad[1].abs().sum() == 0
    assert logits.grad[0].abs().sum() > 0
    sums = measure(LOGITS.softmax(1), LABELS, weights)
    assert torch.equal(sums, measure(LOGITS[kept].softmax(1), LABELS[kept], ONES[:2]))


def test_half_precision_logits_are_lossed_in_single() -> None:
    exact = cross_entropy(LOGITS, LABELS, ONES, 0.0)
    assert cross_entropy(LOGITS.bfloat16(), LABELS, ONES, 0.0).dtype == torch.float32
    assert cross_entropy(LOGITS.half(), LABELS, ONES, 0.0).item() == pytest.approx(exact.item(), rel=1e-3)


def test_soft_targets_are_losses_weighted_and_then_smoothed() -> None:
    index, shares = torch.tensor([[0, 1], [1, 2], [2, 0]]), torch.tensor([[0.75, 0.25], [1.0, 0.0], [0.4, 0.6]])
    mixed = soft_targets(LABELS, index, shares, 3)
    assert mixed.tolist() == [pytest.approx(row) for row in ([0.75, 0, 0.25], [0, 0, 1], [1, 0, 0])]
    smooth = 0.9 * mixed + 0.1 / 3
    expected = -(smooth * LOGITS.log_softmax(1)).sum()
    assert cross_entropy(LOGITS, mixed, ONES, 0.1).item() == pytest.approx(expected.item())
    each = [
        sum(
            float(share) * cross_entropy(LOGITS[i : i + 1], LABELS[j : j + 1], ONES[:1], 0.1).item()
            for j, share in zip(index[i].tolist(), shares[i], strict=True)
        )
        for i in range(3)
    ]
    assert cross_entropy(LOGITS, mixed, ONES, 0.1).item() == pytest.approx(sum(each))


def test_one_hot_targets_are_labels() -> None:
    hot = functional.one_hot(LABELS, 3).float()
    assert cross_entropy(LOGITS, hot, ONES, 0.1).item() == pytest.approx(
        cross_entropy(LOGITS, LABELS, ONES, 0.1).item()
    )
    scores = LOGITS.softmax(1)
    assert torch.equal(measure(scores, hot, ONES), measure(scores, LABELS, ONES))


def test_sums_and_means() -> None:
    probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    sums = measure(probabilities, torch.tensor([0, 2, 2]), ONES)
    assert sums.dtype == torch.float64
    assert sums.tolist() == pytest.approx([-math.log(0.5) - math.log(0.1) - math.log(0.6), 2, 3, 3, 3, 3])
    assert metrics(sums.tolist()) == pytest.approx({"loss": sums[0].item() / 3, "top1": 2 / 3, "top5": 1.0})


def test_accuracy_of_mixed_targets_is_a_share_of_what_can_be_met() -> None:
    mixed = torch.tensor([[0.7, 0.3, 0.0], [0.25, 0.25, 0.5]])
    scores = torch.tensor([[0.1, 0.8, 0.1], [0.1, 0.2, 0.7]])
    # met are 0.3 and 0.5, at best 0.7 and 0.5
    assert metrics(measure(scores, mixed, ONES[:2]).tolist())["top1"] == pytest.approx(0.8 / 1.2)
    assert metrics(measure(mixed, mixed, ONES[:2]).tolist())["top1"] == 1.0


def test_a_probability_of_zero_has_a_finite_loss() -> None:
    sums = measure(torch.tensor([[0.0, 1.0]]), torch.tensor([0]), torch.ones(1))
    assert sums[0].item() == pytest.approx(-math.log(1e-12))


@pytest.mark.parametrize(("classes", "told"), [(2, False), (5, False), (6, True), (0, True)])
def test_the_best_five_of_five_tell_nothing(classes: int, told: bool) -> None:
    measured = Classification(tuple("abcdef"[:classes])).metrics(Tally(np.array([1.0, 2, 3, 4, 4, 4])))
    assert list(measured) == ["loss", "top1", *(["top5"] if told else [])]


def test_metrics_of_no_sample_are_zero() -> None:
    assert metrics([0.0] * 6) == {"loss": 0.0, "top1": 0.0, "top5": 0.0}
