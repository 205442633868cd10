from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.decode.values import IGNORED
from pipeline.tasks.segmentation.measure import (
    absent,
    confusion_of,
    confusions,
    metrics,
    nats,
    per_class,
    sample_ious,
    sums,
)

N, K, H, W = 4, 4, 6, 5
"""Class 3 is answered, and in no truth."""


def case() -> tuple[Tensor, Tensor]:
    """Answers and a mask; picture 2 is all ignored."""
    rng = np.random.default_rng(0)
    mask = rng.integers(0, K - 1, (N, H, W)).astype(np.uint8)
    answers = np.where(rng.random((N, H, W)) < 0.6, mask, rng.integers(0, K, (N, H, W))).astype(np.uint8)
    mask[rng.random((N, H, W)) < 0.2] = IGNORED
    mask[2] = IGNORED
    return torch.from_numpy(answers), torch.from_numpy(mask)


def by_loops(answers: Tensor, mask: Tensor) -> np.ndarray:
    """int [n, K, K]."""
    found = np.zeros((len(mask), K, K), int)
    for i, y, x in product(range(len(mask)), range(H), range(W)):
        if mask[i, y, x] != IGNORED:
            found[i, mask[i, y, x], answers[i, y, x]] += 1
    return found


def test_a_confusion_is_what_a_loop_over_pixels_counts() -> None:
    answers, mask = case()
    assert confusions(answers, mask, K).tolist() == by_loops(answers, mask).tolist()


def test_a_confusion_of_255_classes_holds_the_last() -> None:
    mask, answers = (torch.full((1, 2, 2), value, dtype=torch.uint8) for value in (254, 253))
    mask[0, 0, 0] = IGNORED
    found = confusions(answers, mask, 255)
    assert (found.sum().item(), found[0, 254, 253].item()) == (3, 3)


def test_sums_are_weighted_and_do_not_depend_on_how_a_batch_is_cut() -> None:
    answers, mask = case()
    losses, weights = torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([1.0, 1.0, 1.0, 0.0])
    found = confusions(answers, mask, K)
    whole = sums(losses, found, weights)
    assert whole.dtype == torch.float64
    assert (whole[0].item(), whole[-1].item()) == (7, 3)
    assert confusion_of(whole.numpy()).tolist() == by_loops(answers, mask)[:3].sum(0).tolist()
    parts = [
        sums(losses[cut], confusions(answers[cut], mask[cut], K), weights[cut]) for cut in (slice(0, 1), slice(1, 4))
    ]
    assert torch.equal(parts[0] + parts[1], whole)


def test_metrics_are_what_a_loop_over_classes_says() -> None:
    answers, mask = case()
    found = metrics(sums(torch.ones(N), confusions(answers, mask, K), torch.ones(N)).numpy())
    known = [(int(a), int(t)) for a, t in zip(answers.flatten(), mask.flatten(), strict=True) if t != IGNORED]
    iou, accuracy, dice, weighted = [], [], [], 0.0
    for k in range(K - 1):  # the last is in no truth
        hits = sum(a == k == t for a, t in known)
        said, true = sum(a == k for a, _ in known), sum(t == k for _, t in known)
        iou.append(hits / (said + true - hits))
        accuracy.append(hits / true)
        dice.append(2 * hits / (said + true))
        weighted += iou[-1] * true / len(known)
    assert found == pytest.approx(
        {
            "loss": 1.0,
            "mIoU": np.mean(iou),
            "pixel_accuracy": np.mean([a == t for a, t in known]),
            "class_accuracy": np.mean(accuracy),
            "weighted_iou": weighted,
            "dice": np.mean(dice),
        }
    )


def test_known_answers() -> None:
    # Of class a 3 pixels are right and 1 was taken for b; of b 4 are right; c is in no truth, and answered twice.
    confusion = np.array([[3, 1, 0], [0, 4, 2], [0, 0, 0]])
    found = per_class(confusion)
    assert found.pixels.tolist() == [4, 6, 0]
    assert found.iou.tolist() == [3 / 4, 4 / 7, 0]
    assert found.accuracy.tolist() == [3 / 4, 4 / 6, 0]
    assert found.dice.tolist() == [6 / 7, 8 / 11, 0]
    assert absent(confusion, ("a", "b", "c")) == ["c"]
    told = metrics(np.array([5.0, *confusion.flatten(), 2]))
    assert told == pytest.approx(
        {
            "loss": 2.5,
            "mIoU": (3 / 4 + 4 / 7) / 2,
            "pixel_accuracy": 0.7,
            "class_accuracy": (3 / 4 + 4 / 6) / 2,
            "weighted_iou": 0.4 * 3 / 4 + 0.6 * 4 / 7,
            "dice": (6 / 7 + 8 / 11) / 2,
        }
    )


def test_where_nothing_is_known_all_is_zero_and_every_class_is_absent() -> None:
    found = metrics(np.zeros(2 + K * K))
    assert set(found.values()) == {0.0}
    assert absent(np.zeros((K, K)), "abcd") == ["a", "b", "c", "d"]


def test_ious_of_samples_are_those_of_each_picture_alone() -> None:
    answers, mask = case()
    found = confusions(answers, mask, K)
    ious = sample_ious(found)
    assert ious.dtype == torch.float32
    for i in (0, 1, 3):
        alone = metrics(sums(torch.ones(1), found[[i]], torch.ones(1)).numpy())
        assert ious[i].item() == pytest.approx(alone["mIoU"])
    assert ious[2] == 1  # nothing is known


def test_the_loss_is_the_mean_over_known_pixels() -> None:
    scores = torch.tensor([[[[0.5, 0.25]], [[0.5, 0.75]]]]).repeat(2, 1, 1, 1)
    mask = torch.tensor([[[0, 1]], [[0, 255]]], dtype=torch.uint8)
    expected = [(np.log(2) - np.log(0.75)) / 2, np.log(2)]
    np.testing.assert_allclose(nats(scores, mask).numpy(), expected, rtol=1e-6)
    assert nats(scores, torch.full_like(mask, 255)).tolist() == [0, 0]
