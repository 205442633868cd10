"""One contract for all terms: what a loop over pixels says, whatever is ignored, absent or weighted."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.tasks.segmentation.losses import (
    IGNORED,
    OHEM_SHARE,
    TERMS,
    Truth,
    counts,
    distance,
    losses,
    lovasz,
    tversky,
)

N, K, H, W = 4, 3, 5, 6
ALPHA_BETA = {"dice": (0.5, 0.5), "jaccard": (1.0, 1.0), "tversky": (0.3, 0.7)}
CLASS_WEIGHTS = torch.tensor([0.5, 2.0, 1.25])


def case(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, a mask, and weights of samples and pixels: picture 1 lacks a class, 2 is all ignored, 3 fills up."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(0, 2, (N, K, H, W)).astype(np.float32))
    mask = rng.integers(0, K, (N, H, W)).astype(np.uint8)
    mask[rng.random((N, H, W)) < 0.2] = IGNORED
    mask[1][mask[1] == 2] = 0
    mask[2] = IGNORED
    pixel_weights = torch.from_numpy(rng.uniform(0, 3, (N, H, W)).astype(np.float32))
    return logits, torch.from_numpy(mask), torch.tensor([1.0, 0.75, 1.0, 0.0]), pixel_weights


def by_loops(
    name: str, logits: Tensor, mask: Tensor, class_weights: Tensor | None, areas: Tensor, smoothing: float
) -> float:
    """A term of one picture: logits [K, H, W], mask and areas [H, W]."""
    weight = [1.0] * K if class_weights is None else class_weights.tolist()
    pixels = []
    for y, x in product(range(H), range(W)):
        if mask[y, x] != IGNORED:
            scores = [math.exp(logit) for logit in logits[:, y, x].tolist()]
            pixels.append(([score / sum(scores) for score in scores], int(mask[y, x]), float(areas[y, x])))
    if not pixels:
        return 0.0
    if name == "focal":
        return sum(-weight[true] * area * (1 - p[true]) ** 2 * math.log(p[true]) for p, true, area in pixels)
    if name in ("cross_entropy", "ohem"):
        each = []
        for p, true, area in pixels:
            target = [smoothing / K + (1 - smoothing) * (k == true) for k in range(K)]
            each.append(area * sum(-target[k] * weight[k] * math.log(p[k]) for k in range(K)))
        if name == "cross_entropy":
            return sum(each)
        kept = math.ceil(OHEM_SHARE * len(each))
        return sum(sorted(each, reverse=True)[:kept]) / kept * len(each)
    present = sorted({true for _, true, _ in pixels})
    found = [weight[k] * (lovasz_by_loops if name == "lovasz" else tversky_by_loops)(name, k, pixels) for k in present]
    return sum(found) / len(present)


def tversky_by_loops(name: str, k: int, pixels: list) -> float:
    alpha, beta = ALPHA_BETA[name]
    tp = sum(area * p[k] for p, true, area in pixels if true == k)
    fp = sum(area * p[k] for p, true, area in pixels if true != k)
    fn = sum(area * (1 - p[k]) for p, true, area in pixels if true == k)
    return 1 - tp / (tp + alpha * fp + beta * fn)


def lovasz_by_loops(name: str, k: int, pixels: list) -> float:
    """Errors sorted downwards, each times what Jaccard's loss grows when its pixel joins the wrong ones."""
    ordered = sorted(((abs((true == k) - p[k]), true == k, area) for p, true, area in pixels), reverse=True)
    total, before = 0.0, 0.0
    for i in range(len(ordered)):
        wrong, right = ordered[: i + 1], ordered[i + 1 :]
        union = sum(area for _, is_k, area in ordered if is_k) + sum(area for _, is_k, area in wrong if not is_k)
        now = 1 - sum(area for _, is_k, area in right if is_k) / union
        total, before = total + ordered[i][0] * (now - before), now
    return total


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("has_classes", [False, True])
@pytest.mark.parametrize("has_pixels", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_term_is_what_a_loop_over_pixels_says(
    name: str, has_classes: bool, has_pixels: bool, smoothing: float
) -> None:
    logits, mask, weights, pixel_weights = case()
    class_weights = CLASS_WEIGHTS if has_classes else None
    areas = pixel_weights if has_pixels else torch.ones(N, H, W)
    each = [by_loops(name, *one, smoothing) for one in zip(logits, mask, [class_weights] * N, areas, strict=True)]
    expected = sum(weight * one for weight, one in zip(weights.tolist(), each, strict=True))
    got = TERMS[name].sum(logits, mask, weights, class_weights, pixel_weights if has_pixels else None, smoothing)
    assert got.dtype == torch.float32
    assert got.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", TERMS)
def test_a_batch_that_is_cut_in_two_adds_up_to_the_same(name: str) -> None:
    logits, mask, weights, pixel_weights = case()
    whole = TERMS[name].sum(logits, mask, weights, CLASS_WEIGHTS, pixel_weights)
    parts = [
        TERMS[name].sum(logits[cut], mask[cut], weights[cut], CLASS_WEIGHTS, pixel_weights[cut])
        for cut in (slice(0, 1), slice(1, N))
    ]
    assert torch.stack(parts).sum().item() == pytest.approx(whole.item(), rel=1e-6)


@pytest.mark.parametrize("name", TERMS)
def test_perfect_logits_lose_next_to_nothing_and_wrong_ones_much(name: str) -> None:
    _, mask, weights, _ = case()
    right = 40.0 * torch.nn.functional.one_hot(mask.long().clamp(max=K - 1), K).movedim(-1, 1)
    perfect, wrong = (TERMS[name].sum(logits, mask, weights).item() for logits in (right, -right))
    assert perfect == pytest.approx(0, abs=1e-5)
    assert wrong > 0.5


@pytest.mark.parametrize("name", TERMS)
def test_gradients_of_half_precision_are_finite_and_only_where_something_is_known(name: str) -> None:
    logits, mask, weights, pixel_weights = case()
    half = (20 * logits).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = TERMS[name].sum(half, mask, weights, CLASS_WEIGHTS, pixel_weights, 0.1)
    loss.backward()
    exact = TERMS[name].sum(half.detach().float(), mask, weights, CLASS_WEIGHTS, pixel_weights, 0.1)
    assert loss.item() == exact.item()
    assert half.grad is not None
    assert half.grad.isfinite().all()
    assert half.grad[:2].abs().sum() > 0
    assert half.grad[2:].abs().sum() == 0
    assert half.grad.abs().sum(1)[mask == IGNORED].sum() == 0


@pytest.mark.parametrize("name", TERMS)
def test_a_batch_with_nothing_known_loses_nothing(name: str) -> None:
    logits = torch.randn(2, K, H, W).requires_grad_()
    loss = TERMS[name].sum(logits, torch.full((2, H, W), IGNORED, dtype=torch.uint8), torch.ones(2))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0


def test_known_answers() -> None:
    # One picture of 1 x 4 px and two classes: probabilities of class 1 are 0.9, 0.6, 0.2, 0.5.
    said = torch.tensor([0.9, 0.6, 0.2, 0.5])
    logits = torch.stack([1 - said, said]).log()[None, :, None]
    mask, one = torch.tensor([[[1, 1, 0, IGNORED]]], dtype=torch.uint8), torch.ones(1)
    # Class 1: TP 1.5, FP 0.2, FN 0.5. Class 0: TP 0.8, FP 0.5, FN 0.2.
    dice = 1 - (2 * 1.5 / (1.7 + 2) + 2 * 0.8 / (1.3 + 1)) / 2
    jaccard = 1 - (1.5 / 2.2 + 0.8 / 1.5) / 2
    salehi = 1 - (1.5 / (1.5 + 0.06 + 0.35) + 0.8 / (0.8 + 0.15 + 0.14)) / 2
    for name, expected in (("dice", dice), ("jaccard", jaccard), ("tversky", salehi)):
        assert TERMS[name].sum(logits, mask, one).item() == pytest.approx(expected)
    # Class 1: errors 0.4 (of it), 0.2 (not), 0.1 (of it); Jaccard's loss grows 0, 1/2, 2/3, 1.
    # Class 0: errors 0.4 (not), 0.2 (of it), 0.1 (not); it grows 0, 1/2, 1, 1.
    first = 0.4 * 1 / 2 + 0.2 * (2 / 3 - 1 / 2) + 0.1 * (1 - 2 / 3)
    second = 0.4 * 1 / 2 + 0.2 * 1 / 2
    assert lovasz(logits, mask, one).item() == pytest.approx((first + second) / 2)


def test_lovasz_of_hard_answers_is_the_jaccard_loss() -> None:
    _, mask, _, _ = case()
    answers = torch.randint(0, K, (N, H, W), generator=torch.Generator().manual_seed(1))
    logits = 100.0 * torch.nn.functional.one_hot(answers, K).movedim(-1, 1)
    hard = TERMS["jaccard"].sum(logits, mask, torch.ones(N))
    assert lovasz(logits, mask, torch.ones(N)).item() == pytest.approx(hard.item(), rel=1e-5)


def test_tversky_weighs_what_is_missed_and_what_is_too_much() -> None:
    logits, mask, weights, _ = case()
    missed, too_much = (tversky(logits, mask, weights, alpha=a, beta=b) for a, b in ((0.0, 1.0), (1.0, 0.0)))
    half = TERMS["dice"].sum(logits, mask, weights)
    assert min(missed, too_much) < half < max(missed, too_much)


def test_counts_follow_from_masks_and_sample_weights_alone() -> None:
    _, mask, weights, pixel_weights = case()
    known = [sum(value != IGNORED for value in one.flatten().tolist()) for one in mask]
    found = counts(dict.fromkeys(TERMS, 1.0), [Truth(mask, 1.0, pixel_weights)], weights)
    assert {name: count.item() for name, count in found.items()} == dict.fromkeys(
        ("cross_entropy", "ohem", "focal"), known[0] + 0.75 * known[1]
    )


def test_the_loss_of_mixed_masks_is_their_weighted_sum() -> None:
    logits, mask, weights, pixel_weights = case()
    shares = torch.tensor([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5], [0.4, 0.6]])
    other = mask.flip(0)
    truths = [Truth(mask, shares[:, 0], pixel_weights), Truth(other, shares[:, 1])]
    terms = {"cross_entropy": 1.0, "dice": 0.5}
    found = losses(terms, logits, truths, weights, CLASS_WEIGHTS)
    for name, weight in terms.items():
        expected = 0.0
        for i, one in enumerate(weights.tolist()):
            for truth, share in zip(truths, shares[i].tolist(), strict=True):
                areas = None if truth.pixel_weights is None else truth.pixel_weights[[i]]
                each = TERMS[name].sum(logits[[i]], truth.mask[[i]], torch.ones(1), CLASS_WEIGHTS, areas)
                expected += weight * one * share * each.item()
        assert found[name].item() == pytest.approx(expected, rel=1e-5)
    known = [(one != IGNORED).sum((1, 2)) for one in (mask, other)]
    expected = (weights * (shares[:, 0] * known[0] + shares[:, 1] * known[1])).sum().item()
    assert counts(terms, truths, weights)["cross_entropy"].item() == pytest.approx(expected)


def test_distance_is_the_mean_divergence_of_pixels() -> None:
    out, taught = torch.randn(2, 2, K, 2, 2, generator=torch.Generator().manual_seed(2))
    said, true = ((x / 3).softmax(1).double() for x in (out, taught))
    expected = 9 * (true * (true / said).log()).sum(1).mean((1, 2))
    assert distance(out, taught, 3.0).tolist() == pytest.approx(expected.tolist(), rel=1e-4)
    assert distance(out.bfloat16(), out.bfloat16(), 3.0).tolist() == pytest.approx([0, 0], abs=1e-6)
