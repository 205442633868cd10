import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from augment.mixing.base import Draw, Mixing
from augment.mixing.batch import Drawn, draw_batch
from augment.mixing.mosaic import Mosaic
from augment.mixing.patches import Patch
from augment.mixing.ricap import Ricap
from augment.rides import View
from pipeline.feed.ring import new_arrays
from pipeline.tasks.detection.fields import layers, layout, mixed, put, resized


def objects(boxes: Any, classes: Any, size: tuple[int, int] = (40, 20), crowd: Any = None) -> Any:
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return SimpleNamespace(
        boxes=boxes,
        classes=np.array(classes),
        crowd=np.zeros(len(boxes), np.uint8) if crowd is None else np.array(crowd, np.uint8),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(1),
        size=size,
    )


def fields_of(boxes: Any, kinds: Any) -> dict[str, torch.Tensor]:
    """Of pictures with one object each."""
    boxes = torch.tensor(boxes, dtype=torch.float32)[:, None]
    n = len(boxes)
    return {
        "boxes": boxes,
        "kind": torch.tensor(kinds, dtype=torch.int16)[:, None],
        "crowd": torch.zeros(n, 1, dtype=torch.uint8),
        "area": (boxes[..., 2:] - boxes[..., :2]).prod(-1),
        "unit": torch.ones(n),
    }


def drawn(draw: Draw, n: int) -> Drawn:
    return Drawn(((slice(0, n), draw),), torch.arange(n)[:, None], torch.ones(n, 1))


def test_objects_that_left_the_view_leave_their_places_empty() -> None:
    arrays = new_arrays({name: (dtype, (1, *shape)) for name, (dtype, shape) in layout(3).items()})
    for array in arrays.values():
        array[:] = 7
    frame = np.array([[2, 0, 0], [0, 2, 0]], np.float32)
    view = View(
        np.zeros((20, 40, 3), np.uint8),
        boxes=np.array([[4, 4, 8, 10]], np.float32),
        numbers=np.array([1]),
        frame=frame,
    )
    # the source has 80 x 40 px, its stored picture half of them a side, and the view is twice that again
    put(arrays, 0, objects([[0, 0, 1, 1], [2, 2, 4, 5]], [5, 6], size=(80, 40)), view, (20, 40))
    assert arrays["boxes"][0].tolist() == [[4, 4, 8, 10], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert arrays["kind"][0].tolist() == [6, -1, -1]
    assert arrays["area"][0].tolist() == [6, 0, 0]
    assert arrays["unit"][0] == pytest.approx(1.0)


def test_pasted_pictures_bring_their_objects() -> None:
    """The left half of the next picture's columns 4.. comes into the right half."""
    fields = fields_of([[0, 0, 4, 6], [5, 2, 9, 8]], [0, 1])
    left, right = Patch(slice(0, 10), slice(0, 6), 0, 0), Patch(slice(0, 10), slice(6, 10), 0, 4)
    made = mixed(fields, drawn(Draw((0, 1), (0.6, 0.4), (left, right)), 2))
    assert made["boxes"][0].tolist() == [[0, 0, 4, 6], [7, 2, 10, 8]]  # cut off at column 10
    # of the second picture one column of its object is left, and none of the other's
    assert made["kind"].tolist() == [[0, 1], [-1, -1]]
    assert made["area"][0].tolist() == [24, 18]
    assert made["share"].tolist() == [[1], [1]]
    assert not made["layer"].any()


def test_what_shows_little_of_its_object_is_none() -> None:
    fields = fields_of([[0, 0, 30, 10], [0, 0, 30, 10]], [0, 1])
    for columns, kind in ((2, -1), (3, 0), (4, 0)):  # 6.7, 10 and 13 % of it
        seen = Patch(slice(0, 10), slice(0, columns), 0, 0)
        made = mixed(fields, drawn(Draw((0,), (1.0,), (seen,)), 2))
        assert made["kind"][0].tolist() == [kind]
    narrow = mixed(
        fields_of([[0, 0, 3, 10]], [0]), drawn(Draw((0,), (1.0,), (Patch(slice(0, 9), slice(0, 1), 0, 0),)), 1)
    )
    assert narrow["kind"].tolist() == [[-1]]  # a third of it, and less than two px


def test_blended_pictures_have_the_objects_of_both() -> None:
    fields = fields_of([[0, 0, 4, 6], [5, 2, 9, 8]], [0, 1])
    made = mixed(fields, drawn(Draw((0, 1), (0.75, 0.25), (), (1, 0.75)), 2))
    assert made["kind"].tolist() == [[0, 1], [1, 0]]
    assert made["layer"].tolist() == [[0, 1], [0, 1]]
    assert made["share"].tolist() == [[0.75, 0.25], [0.75, 0.25]]
    assert [(one["kind"].tolist(), share.tolist()) for one, share in layers(made)] == [
        ([[0, -1], [1, -1]], [0.75, 0.75]),
        ([[-1, 1], [-1, 0]], [0.25, 0.25]),
    ]
    assert made["boxes"][1].tolist() == [[5, 2, 9, 8], [0, 0, 4, 6]]


def test_groups_that_mix_fewer_have_empty_places() -> None:
    fields = fields_of([[0, 0, 4, 6], [5, 2, 9, 8], [1, 1, 5, 5]], [0, 1, 2])
    groups = ((slice(0, 2), Draw((0, 1), (0.5, 0.5), (), (1, 0.5))), (slice(2, 3), Draw()))
    made = mixed(fields, Drawn(groups, torch.arange(3)[:, None], torch.ones(3, 1)))
    assert made["kind"].tolist() == [[0, 1], [1, 0], [2, -1]]
    assert made["share"].tolist() == [[0.5, 0.5], [0.5, 0.5], [1, 0]]
    assert {name: made[name].dtype for name in fields} == {name: value.dtype for name, value in fields.items()}


def test_boxes_are_resized_with_the_view() -> None:
    fields = fields_of([[0, 2, 4, 6], [5, 2, 9, 8]], [0, 1])
    made = resized(fields, (20, 40), (40, 60))
    assert made["boxes"][:, 0].tolist() == [[0, 4, 6, 12], [7.5, 4, 13.5, 16]]
    assert made["unit"].tolist() == pytest.approx([1 / math.sqrt(3)] * 2)
    assert {name: made[name] is fields[name] for name in ("kind", "crowd", "area")} == dict.fromkeys(
        ("kind", "crowd", "area"), True
    )


@pytest.mark.parametrize(("way", "key"), [(Ricap(beta=1.0), 0), (Mosaic(), 0), (Mosaic(), 1), (Mosaic(), 2)])
def test_boxes_move_as_the_pixels_that_they_are_around(way: Mixing, key: int) -> None:
    """Each picture is black with one white rectangle: what is white in a mosaic is what boxes are around."""
    rng = np.random.default_rng(3)
    low = rng.integers(0, 20, (8, 2))
    high = low + rng.integers(8, 20, (8, 2))
    pixels = torch.zeros(8, 1, 40, 40)
    for i, ((x0, y0), (x1, y1)) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        pixels[i, :, y0:y1, x0:x1] = 1 + i
    fields = fields_of(np.concatenate([low, high], 1), range(8))
    draw = draw_batch(way, 8, 8, 40, 40, key, "mix")
    seen, made = draw.apply(pixels), mixed(fields, draw)
    for i in range(8):
        for box, kind in zip(made["boxes"][i].int().tolist(), made["kind"][i].tolist(), strict=True):
            if kind >= 0:
                x0, y0, x1, y1 = box
                blurred = int(isinstance(way, Mosaic))  # at the rectangle's edges, where it was made larger or smaller
                inside = slice(y0 + 2 * blurred, y1 - blurred), slice(x0 + 2 * blurred, x1 - blurred)
                torch.testing.assert_close(seen[i, 0][inside], torch.full_like(seen[i, 0][inside], 1 + kind))
    shown = sum(int((made["kind"][i] == k).any()) for i in range(8) for k in range(8))
    assert shown > 8
