"""Matching, mining and the loss of SSD against loops over priors and objects."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

import models
from models.ops.boxes import areas, centred, cornered, encode, overlaps
from models.ssd_loss import FREE, IGNORED, hardest, match, ssd_losses

Targets = dict[str, Tensor]


def targets(*objects: list[tuple[list[int], int, int]]) -> Targets:
    """Of pictures, each a list of (corners, kind, crowd); as many places as the most objects, and one more."""
    places = 1 + max(len(one) for one in objects)
    filled = [[*one, *([([0] * 4, -1, 0)] * (places - len(one)))] for one in objects]
    columns = [[[each[i] for each in one] for one in filled] for i in range(3)]
    return {
        "boxes": torch.tensor(columns[0], dtype=torch.float32),
        "kind": torch.tensor(columns[1], dtype=torch.int16),
        "crowd": torch.tensor(columns[2], dtype=torch.uint8),
    }


def grid(side: int, step: int, size: float) -> Tensor:
    """Squares, centred [P, 4]."""
    centres = torch.cartesian_prod(*[(torch.arange(side) + 0.5) * step] * 2).flip(1)
    return torch.cat([centres, torch.full_like(centres, size)], 1)


def scene(seed: int, pictures: int = 2, places: int = 5) -> Targets:
    """Random objects on a picture of 64 px: of all sorts, some of no area."""
    rng = torch.Generator().manual_seed(seed)
    low = torch.randint(0, 48, (pictures, places, 2), generator=rng)
    boxes = torch.cat([low, low + torch.randint(0, 24, (pictures, places, 2), generator=rng)], 2).float()
    kind = torch.randint(-1, 3, (pictures, places), generator=rng).to(torch.int16)
    crowd = torch.randint(0, 5, (pictures, places), generator=rng).clamp(max=2)
    crowd = torch.where(crowd == 2, torch.randint(1, 3, crowd.shape, generator=rng), 0).to(torch.uint8)
    return {"boxes": boxes, "kind": kind, "crowd": crowd}


def matched_by_loop(priors: Tensor, given: Targets, picture: int) -> list[int]:
    corners, boxes = cornered(priors), given["boxes"][picture]
    kinds, crowds = given["kind"][picture].tolist(), given["crowd"][picture].tolist()
    iou = overlaps(corners, boxes).tolist()
    inside = overlaps(corners, boxes, torch.ones(len(boxes), dtype=torch.bool)).tolist()
    plain = [j for j, k in enumerate(kinds) if k >= 0 and crowds[j] == 0 and areas(boxes)[j] > 0]
    found = []
    for i in range(len(priors)):
        best = max(plain, key=lambda j: (iou[i][j], -j), default=None)
        left_out = [inside[i][j] if crowds[j] == 1 else iou[i][j] for j, k in enumerate(kinds) if k >= 0 and crowds[j]]
        if best is not None and iou[i][best] > 0.5:
            found.append(best)
        else:
            found.append(IGNORED if any(one > 0.5 for one in left_out) else FREE)
    for j in plain:
        found[max(range(len(priors)), key=lambda i: (iou[i][j], -i))] = j
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30))
def test_matching_equals_the_loop(seed: int) -> None:
    priors = torch.cat([grid(8, 8, 12.0), grid(4, 16, 24.0)])
    given = scene(seed)
    found = match(priors, given)
    assert [one.tolist() for one in found] == [matched_by_loop(priors, given, i) for i in range(2)]


def test_matching_by_hand() -> None:
    priors = grid(2, 10, 10.0)
    # On the second prior, a small one in the third, a crowd over the fourth, and one in the first that is left out.
    first = [([10, 0, 20, 10], 1, 0), ([1, 11, 4, 14], 0, 0), ([8, 8, 40, 40], 0, 1), ([0, 0, 8, 8], 2, 2)]
    # Two objects whose best prior is the same: the later has it.
    second = [([0, 0, 9, 9], 0, 0), ([0, 0, 4, 4], 1, 0)]
    found = match(priors, targets(first, second))
    assert found.tolist() == [[IGNORED, 0, 1, IGNORED], [1, FREE, FREE, FREE]]
    # COCO's crowd takes what lies in it; another that is left out takes what would have been its own.
    assert match(priors, targets([([0, 0, 40, 40], 0, 1)])).tolist() == [[IGNORED] * 4]
    assert match(priors, targets([([0, 0, 40, 40], 0, 2)])).tolist() == [[FREE] * 4]
    assert match(priors, targets([([5, 5, 5, 9], 0, 0)])).tolist() == [[FREE] * 4]
    assert match(priors, targets([])).tolist() == [[FREE] * 4]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(0, 12))
def test_mining_equals_the_loop(seed: int, most: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    losses = torch.randint(4, (2, 10), generator=rng).float()
    free = torch.rand(2, 10, generator=rng) < 0.7
    found = hardest(losses, free, torch.tensor([most, 1]))
    for i, count in enumerate((most, 1)):
        ranked = sorted((-losses[i, j].item(), j) for j in range(10) if free[i, j])
        assert found[i].nonzero()[:, 0].tolist() == sorted(j for _, j in ranked[:count])


def losses_by_loop(codes: Tensor, scores: Tensor, priors: Tensor, given: Targets) -> list[tuple[float, float]]:
    sums = []
    for i, found in enumerate(match(priors, given).tolist()):
        boxes_sum = classes_sum = 0.0
        background = [-functional.log_softmax(one, 0)[0].item() for one in scores[i]]
        for p, j in enumerate(found):
            if j < 0:
                continue
            aim = encode(centred(given["boxes"][i, j]), priors[p])
            off = (codes[i, p] - aim).abs().tolist()
            boxes_sum += sum(0.5 * x * x if x < 1 else x - 0.5 for x in off)
            classes_sum -= functional.log_softmax(scores[i, p], 0)[given["kind"][i, j] + 1].item()
        free = sorted((-background[p], p) for p, j in enumerate(found) if j == FREE)
        classes_sum += sum(-loss for loss, _ in free[: 3 * sum(j >= 0 for j in found)])
        sums.append((boxes_sum, classes_sum))
    return sums


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 30))
def test_losses_equal_the_loop(seed: int) -> None:
    priors, given = torch.cat([grid(8, 8, 12.0), grid(4, 16, 24.0)]), scene(seed)
    rng = torch.Generator().manual_seed(seed)
    codes, scores = (torch.randn(2, len(priors), numbers, generator=rng) for numbers in (4, 4))
    found = ssd_losses(codes, scores, priors, given)
    expected = torch.tensor(losses_by_loop(codes, scores, priors, given))
    torch.testing.assert_close(torch.stack([found["boxes"], found["classes"]], 1), expected, rtol=1e-4, atol=1e-4)


def test_losses_by_hand() -> None:
    """Four priors, one object on the first, all scores equal: ln 3 of it and of three others; two shifts of 0.5, 2."""
    priors, given = grid(2, 10, 10.0), targets([([0, 0, 10, 10], 1, 0)])
    codes = torch.tensor([[[0.5, 0.0, 2.0, 0.0], *[[9.0] * 4] * 3]])
    found = ssd_losses(codes, torch.zeros(1, 4, 3), priors, given)
    assert found["boxes"].item() == pytest.approx(0.125 + 1.5)
    assert found["classes"].item() == pytest.approx(4 * math.log(3))


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    return models.build("ssd_mobilenet_v2", 3, width_mult=0.1, stride=8, scales=(0.1, 0.9)).eval()


def test_nothing_to_find_costs_nothing_and_touches_all(model: Any) -> None:
    found = model.losses(model(torch.randn(2, 3, 64, 64)), targets([], []))
    assert [one.tolist() for one in found.values()] == [[0, 0], [0, 0]]
    counts = {name: one.tolist() for name, one in model.counts(targets([], []), (64, 64)).items()}
    assert counts == {name: [0, 0] for name in found}
    sum(found.values()).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_counts_follow_from_targets(model: Any, size: tuple[int, int]) -> None:
    given = scene(3, places=20)
    priors = model(torch.zeros(1, 3, *size))["priors"][0]
    matched = (match(priors, given) >= 0).sum(1).tolist()
    counts = {name: one.tolist() for name, one in model.counts(given, size).items()}
    assert counts == {"boxes": matched, "classes": matched}
    assert min(matched) > 1


def test_gradients_add_up_over_pictures(model: Any) -> None:
    """A batch at once and picture by picture: mining is a picture's own."""
    given, x = scene(5, pictures=3), torch.randn(3, 3, 64, 64)
    sums = []
    for cuts in ([slice(0, 3)], [slice(i, i + 1) for i in range(3)]):
        model.zero_grad()
        parts = [model.losses(model(x[cut]), {name: one[cut] for name, one in given.items()}) for cut in cuts]
        for part in parts:
            sum(part.values()).sum().backward()
        sums.append([p.grad.clone() for p in model.parameters()])
    torch.testing.assert_close(sums[0], sums[1], rtol=1e-4, atol=1e-4)


def test_it_is_computed_in_float32(model: Any) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        heads = model(torch.randn(2, 3, 64, 64))
        assert heads["codes"].dtype == torch.bfloat16
        found = model.losses(heads, scene(5))
        answer = model.decode(heads, (64, 64), 3, 0.01, 0.45)
    assert {one.dtype for one in (*found.values(), heads["priors"], answer["boxes"], answer["score"])} == {
        torch.float32
    }


def test_a_few_steps_learn(model: Any) -> None:
    given = targets([([8, 8, 40, 40], 2, 0)])
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(40):
        count = model.counts(given, (64, 64))
        found = model.losses(model(x), given)
        optimizer.zero_grad()
        sum(found[name] / count[name] for name in found).sum().backward()
        optimizer.step()
    with torch.no_grad():
        answer = model.decode(model(x), (64, 64), 3, 0.3, 0.45)
    assert answer["kind"][0, 0] == 2
    assert overlaps(answer["boxes"][0, :1], given["boxes"][0, :1]).item() > 0.8
