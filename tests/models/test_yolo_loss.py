"""Assignment and loss of YOLOv5 against loops over objects, levels and anchors, and written out."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

import models
from models.ops.boxes import centred, cornered, overlaps
from models.options.yolo import COCO
from models.yolo_cells import STRIDES, boxes, cells, maps_of, size_of
from models.yolo_loss import assign, ciou, counts, losses
from tests.models.test_ssd_loss import scene, targets

ANCHORS = torch.tensor(COCO)
GAINS = (0.05, 1.0, 0.5)
NAMES = [f"{part}{stride}" for part in ("boxes", "objectness", "classes") for stride in STRIDES]


def assigned_by_loop(given: dict[str, Tensor], picture: int, maps: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """(place, level, cell) of the published rule, in units of the level's cells."""
    found, begin = [], 0
    for level, (stride, (rows, columns)) in enumerate(zip(STRIDES, maps, strict=True)):
        for place, (box, kind, crowd) in enumerate(
            zip(*(given[name][picture].tolist() for name in ("boxes", "kind", "crowd")), strict=True)
        ):
            x, y = (box[0] + box[2]) / 2 / stride, (box[1] + box[3]) / 2 / stride
            width, height = box[2] - box[0], box[3] - box[1]
            if kind < 0 or crowd or width * height == 0:
                continue
            steps = [(0, 0)]
            steps += [(-1, 0)] if x % 1 < 0.5 and x > 1 else []
            steps += [(0, -1)] if y % 1 < 0.5 and y > 1 else []
            steps += [(1, 0)] if (columns - x) % 1 < 0.5 and columns - x > 1 else []
            steps += [(0, 1)] if (rows - y) % 1 < 0.5 and rows - y > 1 else []
            for anchor, (w, h) in enumerate(COCO[level]):
                if max(width / w, w / width, height / h, h / height) < 4:
                    found += [
                        (place, level, begin + (anchor * rows + int(y) + dy) * columns + int(x) + dx)
                        for dx, dy in steps
                    ]
        begin += 3 * rows * columns
    return sorted(found)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30))
def test_assignment_equals_the_loop(seed: int) -> None:
    maps, given = maps_of((64, 96)), scene(seed)
    found = assign(given, ANCHORS, maps)
    for i in range(2):
        of = found.picture == i
        rows = torch.stack([found.place[of], found.level[of], found.cell[of]], 1).tolist()
        assert sorted(map(tuple, rows)) == assigned_by_loop(given, i, maps)


def test_assignment_by_hand() -> None:
    """An object of 16 x 16 px at (20, 26): on the finest level in cell (2, 3), in whose upper part, so that
    the one above it takes part; across it lies in the middle, which is near to neither side.
    """
    maps = maps_of((64, 64))
    found = assign(targets([([12, 18, 28, 34], 1, 0)]), ANCHORS, maps)
    on_finest = found.cell[found.level == 0].tolist()
    # 16 x 16 fits all three anchors of this level: cells (2, 3) and (2, 2), column and row.
    assert sorted(on_finest) == sorted(64 * a + 8 * row + 2 for a in range(3) for row in (2, 3))
    # At the border there is no neighbour outside: the centre is (4, 4), in the first cell's lower right corner.
    corner = assign(targets([([0, 0, 8, 8], 1, 0)]), ANCHORS, maps)
    assert sorted(corner.cell[corner.level == 0].tolist()) == [0, 64]  # 8 x 8 px: not those of 33 x 23


def test_cells_and_what_is_told_from_them() -> None:
    maps = maps_of((40, 64))
    assert maps == [(8, 8), (4, 4), (2, 2)]
    made = cells(maps, ANCHORS)
    assert made.shape == (3 * (64 + 16 + 4), 5)
    assert size_of(made) == (64, 64)
    assert made[0].tolist() == [4, 4, 8, 10, 13]
    assert made[64 + 9].tolist() == [12, 12, 8, 16, 30]
    assert made[-1].tolist() == [48, 48, 32, 373, 326]
    assert boxes(torch.zeros(4), made[0]).tolist() == [4, 4, 10, 13]
    far = boxes(torch.tensor([99.0, -99, 99, -99]), made[0])
    assert far.tolist() == [12, -4, 40, 0]


def test_ciou_known_answers() -> None:
    """Equal boxes; two squares side by side; a half as wide, with its term of proportions."""
    square = torch.tensor([[5.0, 5, 10, 10]])
    assert ciou(square, square).item() == pytest.approx(1)
    assert ciou(square, torch.tensor([[15.0, 5, 10, 10]])).item() == pytest.approx(-100 / 500)
    angle = 4 / math.pi**2 * (math.atan(1) - math.atan(0.5)) ** 2
    expected = 0.5 - angle**2 / (angle - 0.5 + 1)
    assert ciou(torch.tensor([[5.0, 5, 5, 10]]), square).item() == pytest.approx(expected, abs=1e-6)


def losses_by_loop(
    codes: Tensor, objectness: Tensor, scores: Tensor, given: dict[str, Tensor], size: tuple[int, int]
) -> list[list[float]]:
    maps = maps_of(size)
    made, sums = cells(maps, ANCHORS), []
    for i in range(len(codes)):
        parts = dict.fromkeys(NAMES, 0.0)
        aims: dict[int, float] = {}
        for place, level, cell in assigned_by_loop(given, i, maps):
            true = centred(given["boxes"][i, place])
            overlap = ciou(boxes(codes[i, cell], made[cell])[None], true[None]).item()
            parts[f"boxes{STRIDES[level]}"] += 64 * 0.05 * (1 - overlap)
            aims[cell] = max(aims.get(cell, 0.0), overlap, 0.0)
            hot = functional.one_hot(given["kind"][i, place].long(), 3).float()
            wrong = functional.binary_cross_entropy_with_logits(scores[i, cell], hot).item()
            parts[f"classes{STRIDES[level]}"] += 64 * 0.5 * 3 / 80 * wrong
        for cell, (x, y, stride, _, _) in enumerate(made.tolist()):
            left_out = any(
                kind >= 0 and crowd and box[0] < x < box[2] and box[1] < y < box[3]
                for box, kind, crowd in zip(
                    *(given[name][i].tolist() for name in ("boxes", "kind", "crowd")), strict=True
                )
            )
            if left_out and cell not in aims:
                continue
            aim = torch.tensor(aims.get(cell, 0.0))
            wrong = functional.binary_cross_entropy_with_logits(objectness[i, cell], aim).item()
            balance = {8: 4.0, 16: 1.0, 32: 0.4}[int(stride)]
            parts[f"objectness{int(stride)}"] += 64 * balance * size[0] * size[1] / 640**2 * wrong
        sums.append([parts[name] for name in NAMES])
    return sums


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1 << 30))
def test_losses_equal_the_loop(seed: int) -> None:
    given, size = scene(seed), (64, 64)
    made = cells(maps_of(size), ANCHORS)
    rng = torch.Generator().manual_seed(seed)
    codes, scores = (torch.randn(2, len(made), numbers, generator=rng) for numbers in (4, 3))
    objectness = torch.randn(2, len(made), generator=rng)
    found = losses(codes, objectness, scores, made, given, ANCHORS, GAINS)
    expected = torch.tensor(losses_by_loop(codes, objectness, scores, given, size))
    torch.testing.assert_close(torch.stack([found[name] for name in NAMES], 1), expected, rtol=1e-4, atol=1e-4)


def test_counts_by_hand() -> None:
    """Of the first picture those of `test_assignment_by_hand`; cells in a crowd are not asked."""
    given = targets([([12, 18, 28, 34], 1, 0)], [([0, 0, 32, 32], 1, 1)])
    found = {name: one.tolist() for name, one in counts(given, ANCHORS, (64, 64), 3).items()}
    assert found["boxes8"] == found["classes8"] == [6, 0]
    assert found["objectness8"] == [192, 192 - 3 * 16]
    assert found["objectness32"] == [12, 12 - 3]
    # Of one class alone there is nothing to tell.
    assert not any(name.startswith("classes") for name in counts(given, ANCHORS, (64, 64), 1))


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    return models.build("yolov5n", 3).eval()


@pytest.mark.parametrize("classes", [1, 3])
def test_nothing_to_find_touches_all(classes: int) -> None:
    model: Any = models.build("yolov5n", classes)
    nothing = targets([], [])
    heads = model(torch.randn(2, 3, 64, 64))
    found = model.losses(heads, nothing)
    assert not any(one.any() for name, one in found.items() if not name.startswith("objectness"))
    assert found.keys() == model.counts(nothing, (64, 64)).keys()
    assert len(found) == (6 if classes == 1 else 9)
    answer = model.decode(heads, (64, 64), 5)
    assert answer["boxes"].shape == (2, 5, 4)


def test_gradients_add_up_over_pictures(model: Any) -> None:
    """A batch at once and picture by picture."""
    given, x = scene(5, pictures=3), torch.randn(3, 3, 64, 64)
    sums = []
    for cuts in ([slice(0, 3)], [slice(i, i + 1) for i in range(3)]):
        model.zero_grad()
        parts = [model.losses(model(x[cut]), {name: one[cut] for name, one in given.items()}) for cut in cuts]
        for part in parts:
            torch.stack([one.sum() for one in part.values()]).sum().backward()
        sums.append([p.grad.clone() for p in model.parameters()])
    torch.testing.assert_close(sums[0], sums[1], rtol=1e-3, atol=1e-3)


def test_it_is_computed_in_float32(model: Any) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        heads = model(torch.randn(2, 3, 64, 64))
        assert heads["codes"].dtype == torch.bfloat16
        found = model.losses(heads, scene(5))
        answer = model.decode(heads, (64, 64), 3)
    kinds = {one.dtype for one in (*found.values(), heads["cells"], answer["boxes"], answer["score"])}
    assert kinds == {torch.float32}


def test_a_few_steps_learn() -> None:
    torch.manual_seed(0)
    model: Any = models.build("yolov5n", 3)
    given = targets([([8, 8, 40, 40], 2, 0)])
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    for _ in range(40):
        count = model.counts(given, (64, 64))
        found = model.losses(model(x), given)
        optimizer.zero_grad()
        torch.stack([found[name] / count[name].clamp(min=1) for name in found]).sum().backward()
        optimizer.step()
    with torch.no_grad():
        answer = model.decode(model(x), (64, 64), 3)
    assert answer["kind"][0, 0] == 2
    assert overlaps(answer["boxes"][0, :1], given["boxes"][0, :1]).item() > 0.8


def test_what_is_encoded_is_found(model: Any) -> None:
    """Heads that say one object each of two pictures, the second partly outside; a box twice; by class."""
    size = (96, 128)
    with torch.no_grad():
        heads = model(torch.zeros(2, 3, *size))
    true = torch.tensor([[10.0, 20.0, 60.0, 70.0], [100.0, 40.0, 140.0, 90.0]])
    for i, cell in ((0, 3 * 192 + 48 + 2 * 8 + 2), (1, 3 * 192 + 48 + 4 * 8 + 7)):  # of stride 16, second anchor
        x, y, side, w, h = heads["cells"][i, cell].tolist()
        middle, sides = centred(true[i]).split(2)
        share = torch.cat([(middle - torch.tensor([x, y])) / side + 1, (sides / torch.tensor([w, h])).sqrt()]) / 2
        heads["codes"][i, cell] = share.logit()
        heads["objectness"][i] = -20
        heads["objectness"][i, cell] = 20
        heads["scores"][i, cell] = torch.tensor([-20.0, -20, 20]) if i == 0 else torch.tensor([20.0, -20, 18])
    answer = model.decode(heads, size, 4, 0.3)
    assert answer["kind"].tolist() == [[2, -1, -1, -1], [0, 2, -1, -1]]
    torch.testing.assert_close(answer["boxes"][0, 0], true[0], rtol=0, atol=1e-2)
    torch.testing.assert_close(answer["boxes"][1, 1], torch.tensor([100.0, 40.0, 128.0, 90.0]), rtol=0, atol=1e-2)
    torch.testing.assert_close(cornered(centred(true)), true)
