"""Suppression against loops over boxes as the papers write them."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.ops import nms as module
from models.ops.boxes import overlaps
from models.ops.nms import gaussian, linear, nms, soft_nms, staying

OVERLAP = 0.45


def by_loop(boxes: Tensor, scores: Tensor, overlap: float, kinds: Tensor | None = None) -> list[int]:
    left = sorted(range(len(boxes)), key=lambda i: (-scores[i].item(), i))
    kept = []
    while left:
        best, *left = left
        kept.append(best)
        other = [kinds is not None and bool(kinds[i] != kinds[best]) for i in left]
        iou = overlaps(boxes[best][None], boxes[left].view(-1, 4))[0]
        left = [i for i, one, free in zip(left, iou, other, strict=True) if free or not one > overlap]
    return kept


def soft_by_loop(boxes: Tensor, scores: Tensor, decay: object, threshold: float) -> Tensor:
    found, left = torch.zeros_like(scores), set(range(len(boxes)))
    scores = scores.clone()
    while left := {i for i in left if scores[i] > threshold}:
        best = min(left, key=lambda i: (-scores[i].item(), i))
        found[best] = scores[best]
        left -= {best}
        for i in left:
            scores[i] *= decay(overlaps(boxes[best][None], boxes[i][None]))[0, 0]  # type: ignore[operator]
    return found


def scene(seed: int, count: int, spread: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes on whole pixels, which overlap much, scores of which many are equal, and kinds."""
    rng = torch.Generator().manual_seed(seed)
    low = torch.randint(spread, (count, 2), generator=rng)
    boxes = torch.cat([low, low + torch.randint(1, 8, (count, 2), generator=rng)], 1).float()
    return boxes, torch.randint(10, (count,), generator=rng) / 10, torch.randint(3, (count,), generator=rng)


def test_known_answer() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 1, 10, 11], [0, 2, 10, 12], [50, 50, 60, 60]])
    # The first removes the second, which would have removed the third; IoU of first and third is 80 / 120.
    assert nms(boxes, torch.tensor([0.9, 0.8, 0.7, 0.95]), 0.7).tolist() == [3, 0, 2]
    assert nms(boxes, torch.tensor([0.9, 0.9, 0.9, 0.9]), 0.6).tolist() == [0, 3]
    assert nms(boxes, torch.tensor([0.9, 0.8, 0.7, 0.95]), 0.6, torch.tensor([0, 1, 0, 0])).tolist() == [3, 0, 1]
    # An overlap of exactly the limit does not remove: 50 / 150.
    halves = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10]])
    assert nms(halves, torch.tensor([0.5, 0.4]), 1 / 3 + 1e-6).tolist() == [0, 1]
    assert nms(boxes[:0], torch.zeros(0), 0.5).tolist() == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(1, 60), st.sampled_from([0.1, 0.45, 0.9]))
def test_equals_the_loop(seed: int, count: int, overlap: float) -> None:
    boxes, scores, kinds = scene(seed, count)
    assert nms(boxes, scores, overlap).tolist() == by_loop(boxes, scores, overlap)
    assert nms(boxes, scores, overlap, kinds).tolist() == by_loop(boxes, scores, overlap, kinds)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes, scores, kinds = scene(1, 400, 60)
    whole, classwise = nms(boxes, scores, 0.3), nms(boxes, scores, 0.3, kinds)
    rows = staying(boxes.view(8, 50, 4), scores.view(8, 50), 0.3, 0.0)
    monkeypatch.setattr(module, "BLOCK", 16)
    monkeypatch.setattr(module, "PART", 7)
    monkeypatch.setattr(module, "PAIRS", 100)
    assert torch.equal(nms(boxes, scores, 0.3), whole)
    assert torch.equal(nms(boxes, scores, 0.3, kinds), classwise)
    assert torch.equal(staying(boxes.view(8, 50, 4), scores.view(8, 50), 0.3, 0.0), rows)
    assert 20 < len(whole) < len(classwise) < 400


def test_a_long_chain() -> None:
    """Each box overlaps its neighbours alone, so that every second one stays: as many rounds as there are boxes."""
    x = torch.arange(3000) * 5.0
    boxes = torch.stack([x, torch.zeros(3000), x + 10, torch.ones(3000)], 1)
    scores = torch.linspace(1, 0.5, 3000)
    assert nms(boxes, scores, 0.3).tolist() == list(range(0, 3000, 2))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(1, 30), st.sampled_from([0.0, 0.35, 1.0]))
def test_rows_are_each_as_the_loop_has_it(seed: int, count: int, threshold: float) -> None:
    rows = [scene(seed + i, count)[:2] for i in range(3)]
    found = staying(torch.stack([b for b, _ in rows]), torch.stack([s for _, s in rows]), OVERLAP, threshold)
    for (boxes, scores), stays in zip(rows, found, strict=True):
        above = (scores > threshold).nonzero()[:, 0]
        expected = above[by_loop(boxes[above], scores[above], OVERLAP)] if len(above) else above
        assert stays.nonzero()[:, 0].tolist() == sorted(expected.tolist())


def test_rows_of_nothing() -> None:
    assert staying(torch.zeros(2, 0, 4), torch.zeros(2, 0), 0.5, 0.1).shape == (2, 0)
    assert not staying(torch.rand(2, 3, 4), torch.zeros(2, 3), 0.5, 0.1).any()


def test_soft_by_hand() -> None:
    """IoU 0.6 and 0.25 of neighbours: the second is lowered below the third, which is settled first."""
    boxes = torch.tensor([[0.0, 0, 8, 1], [2, 0, 10, 1], [6.8, 0, 14.8, 1]])
    iou = overlaps(boxes, boxes)
    assert [round(iou[i, i + 1].item(), 4) for i in range(2)] == [0.6, 0.25]
    lowered = soft_nms(boxes, torch.tensor([0.9, 0.8, 0.5]), linear(0.2))
    torch.testing.assert_close(lowered, torch.tensor([0.9, 0.8 * 0.4 * 0.75, 0.5]))
    factors = [torch.tensor(-(x**2) / 0.5).exp().item() for x in (0.6, 0.25, iou[0, 2].item())]
    lowered = soft_nms(boxes, torch.tensor([0.9, 0.8, 0.5]), gaussian(0.5))
    torch.testing.assert_close(lowered, torch.tensor([0.9, 0.8 * factors[0] * factors[1], 0.5 * factors[2]]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(1, 25), st.sampled_from([linear(0.3), gaussian(0.5)]))
def test_soft_equals_the_loop(seed: int, count: int, decay: object) -> None:
    rows = [scene(seed + i, count)[:2] for i in range(2)]
    rows = [(boxes.double(), scores.double()) for boxes, scores in rows]
    found = soft_nms(torch.stack([b for b, _ in rows]), torch.stack([s for _, s in rows]), decay, 0.05)  # type: ignore[arg-type]
    for (boxes, scores), lowered in zip(rows, found, strict=True):
        torch.testing.assert_close(lowered, soft_by_loop(boxes, scores, decay, 0.05), rtol=1e-9, atol=1e-12)


def test_scores_come_in_order() -> None:
    boxes, scores, _ = scene(3, 300, 100)
    kept = nms(boxes, scores, 0.5)
    assert all((-scores[a], a) < (-scores[b], b) for a, b in pairwise(kept))
