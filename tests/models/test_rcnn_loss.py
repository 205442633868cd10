"""Matching, drawing and the losses of an R-CNN against loops over boxes and objects."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.ops.boxes import areas, centred, encode, overlaps
from models.rcnn_loss import RPN, Sampling, chosen, region_losses, regions, rpn_losses
from models.ssd_loss import FREE, IGNORED
from tests.models.test_ssd_loss import Targets, scene, targets


def corners(seed: int, count: int = 60) -> Tensor:
    """Random boxes on a picture of 64 px."""
    rng = torch.Generator().manual_seed(seed)
    low = torch.randint(0, 48, (count, 2), generator=rng)
    return torch.cat([low, low + torch.randint(2, 24, (count, 2), generator=rng)], 1).float()


def matched_by_loop(boxes: Tensor, given: Targets, picture: int, sampling: Sampling) -> list[int]:
    true, kinds, crowds = (given[name][picture] for name in ("boxes", "kind", "crowd"))
    iou = overlaps(boxes, true).tolist()
    inside = overlaps(boxes, true, torch.ones(len(true), dtype=torch.bool)).tolist()
    plain = [j for j in range(len(true)) if kinds[j] >= 0 and crowds[j] == 0 and areas(true)[j] > 0]
    left_out = [j for j in range(len(true)) if kinds[j] >= 0 and crowds[j] > 0]
    most = {j: max(row[j] for row in iou) for j in plain}
    found = []
    for i in range(len(boxes)):
        best = max(plain, key=lambda j: (iou[i][j], -j), default=None)
        largest = -1 if best is None else iou[i][best]
        covered = any((inside if crowds[j] == 1 else iou)[i][j] > 0.5 for j in left_out)
        forced = sampling.forced and any(iou[i][j] == most[j] > 0 for j in plain)
        if best is not None and (largest >= sampling.high or forced):
            found.append(best)
        else:
            found.append(IGNORED if largest >= sampling.low or covered else FREE)
    return found


@pytest.mark.parametrize("sampling", [RPN, regions(8)])
@pytest.mark.parametrize("seed", range(4))
def test_match_is_the_loop(sampling: Sampling, seed: int) -> None:
    given, boxes = scene(seed), corners(seed)
    found = sampling.match(boxes[None], given)
    assert found.tolist() == [matched_by_loop(boxes, given, picture, sampling) for picture in range(2)]


def test_an_object_that_nothing_overlaps_gets_no_anchor() -> None:
    """torchvision would give it all of them, whose IoU of 0 is the largest there is."""
    found = RPN.match(torch.tensor([[[0.0, 0, 8, 8], [8, 0, 16, 8]]]), targets([([40, 40, 60, 60], 1, 0)]))
    assert found.tolist() == [[FREE, FREE]]


def test_a_draw_has_its_size() -> None:
    found = torch.tensor([[0] * 10 + [FREE] * 30 + [IGNORED] * 10, [0] + [FREE] * 20 + [IGNORED] * 29])
    given = {"key": torch.tensor([5, 6])}
    positive, negative = Sampling(0.7, 0.3, True, 16, 0.25, (1, 1), 0).draw(found, given)
    assert (positive.sum(1).tolist(), negative.sum(1).tolist()) == ([4, 1], [12, 15])
    assert not (positive & (found < 0)).any()
    assert not (negative & (found != FREE)).any()


def test_what_the_second_stage_learns_from() -> None:
    given = targets([([0, 0, 20, 20], 2, 0), ([30, 30, 50, 50], 0, 1)], []) | {"key": torch.tensor([1, 2])}
    rois = torch.tensor([[2.0, 2, 20, 20], [31, 31, 49, 49], [40, 0, 60, 20], [0, 40, 20, 60]]).expand(2, -1, -1)
    there = torch.tensor([[True, True, True, False], [True, True, False, False]])
    boxes, learned = chosen(rois, there, given, regions(8))
    # Of the first picture: the object itself, what is near it and one of the background; of the second what is there
    first = sorted(boxes[0][learned[0]].tolist())
    assert first == [[0, 0, 20, 20], [2, 2, 20, 20], [40, 0, 60, 20]]
    assert sorted(boxes[1][learned[1]].tolist()) == [[2, 2, 20, 20], [31, 31, 49, 49]]


def smooth(off: float) -> float:
    return 4.5 * off**2 if abs(off) < 1 / 9 else abs(off) - 1 / 18


def test_losses_of_anchors_are_the_loop() -> None:
    given = scene(1) | {"key": torch.tensor([8, 9])}
    anchors, rng = corners(1, 300), torch.Generator().manual_seed(2)
    heads = {
        "anchors": anchors.expand(2, -1, -1),
        "objectness": torch.randn(2, 300, generator=rng),
        "deltas": torch.randn(2, 300, 4, generator=rng),
    }
    found = RPN.match(anchors[None], given)
    positive, negative = RPN.draw(found, given)
    parts = rpn_losses(heads, given)
    for i in range(2):
        objectness, off = 0.0, 0.0
        for j in range(300):
            logit = float(heads["objectness"][i, j])
            if positive[i, j]:
                objectness += math.log1p(math.exp(-logit))
                aim = encode(centred(given["boxes"][i, found[i, j]]), centred(anchors[j]), (1.0, 1.0))
                off += sum(smooth(number) for number in (heads["deltas"][i, j] - aim).tolist())
            elif negative[i, j]:
                objectness += math.log1p(math.exp(logit))
        assert float(parts["objectness"][i]) == pytest.approx(objectness, rel=1e-5)
        assert float(parts["anchors"][i]) == pytest.approx(off, rel=1e-5)
    assert int(positive.sum()) > 0


def test_losses_of_regions_are_the_loop() -> None:
    given, sampling = scene(3) | {"key": torch.tensor([8, 9])}, regions(16)
    rois, there = chosen(corners(3).expand(2, -1, -1), torch.ones(2, 60, dtype=torch.bool), given, sampling)
    rng = torch.Generator().manual_seed(2)
    heads: dict[str, Any] = {
        "rois": rois,
        "there": there,
        "scores": torch.randn(2, 16, 4, generator=rng),
        "codes": torch.randn(2, 16, 16, generator=rng),
    }
    parts, (found, _, _) = region_losses(heads, given, sampling)
    for i in range(2):
        classes, off = 0.0, 0.0
        for j in range(16):
            if not there[i, j]:
                continue
            place = int(found[i, j])
            kind = int(given["kind"][i, place]) + 1 if place >= 0 else 0
            classes += float(functional.cross_entropy(heads["scores"][i, j], torch.tensor(kind)))
            if kind:
                aim = encode(centred(given["boxes"][i, place]), centred(rois[i, j]), (0.1, 0.2))
                off += sum(smooth(n) for n in (heads["codes"][i, j, 4 * kind : 4 * kind + 4] - aim).tolist())
        assert float(parts["classes"][i]) == pytest.approx(classes, rel=1e-5)
        assert float(parts["boxes"][i]) == pytest.approx(off, rel=1e-5)
    assert int((found >= 0).sum()) > 0


def test_boxes_of_no_area_are_no_reason_for_a_nan() -> None:
    given = targets([([0, 0, 20, 20], 2, 0)], [])
    heads = {"rois": torch.zeros(2, 4, 4), "there": torch.zeros(2, 4, dtype=torch.bool)}
    heads |= {"scores": torch.zeros(2, 4, 4), "codes": torch.zeros(2, 4, 16, requires_grad=True)}
    parts, _ = region_losses(heads, given, regions(4))
    sum(part.sum() for part in parts.values()).backward()  # type: ignore[union-attr]
    assert heads["codes"].grad is not None
    assert not heads["codes"].grad.any()
    assert {name: part.tolist() for name, part in parts.items()} == {"classes": [0, 0], "boxes": [0, 0]}
