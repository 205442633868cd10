"""Masks of objects from outlines to layers, and what mixing makes of them."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from augment.mixing.base import Draw
from augment.mixing.patches import Patch
from augment.rides import Companions, Rides
from augment.transforms import compose
from pipeline.decode.limits import BadSample
from pipeline.decode.objects import Objects, read_objects
from pipeline.decode.outlines import encode_runs
from pipeline.tasks.instances.fields import LAYERS, OUTSIDE, drawn, mixed, name, pasted, placed

SIZE = (12, 16)


def objects(*pieces: tuple[slice, slice], size: tuple[int, int] = SIZE) -> Objects:
    """Objects that are rectangles: rows and columns."""
    boxes, outlines = [], []
    for rows, columns in pieces:
        bits = np.zeros(size, bool)
        bits[rows, columns] = True
        boxes.append([columns.start, rows.start, columns.stop, rows.stop])
        outlines.append(encode_runs(bits))
    said = {"size": size[::-1], "boxes": boxes, "classes": [0] * len(boxes), "outlines": outlines}
    return read_objects(json.dumps(said).encode())


def test_objects_over_each_other_are_in_different_layers() -> None:
    layers = drawn(
        objects((slice(2, 6), slice(3, 7)), (slice(0, 12), slice(0, 16)), (slice(8, 10), slice(3, 7))), *SIZE
    )
    assert layers.shape == (*SIZE, LAYERS)
    assert (layers[..., 0] == 2).all()  # the largest is drawn first
    assert (layers[2:6, 3:7, 1] == 1).all()
    assert (layers[8:10, 3:7, 1] == 3).all()
    assert np.count_nonzero(layers[..., 1]) == 16 + 8


def test_of_more_objects_than_layers_the_smaller_ones_are_seen() -> None:
    nested = [(slice(i, 12 - i), slice(i, 16 - i)) for i in range(3)]
    layers = drawn(objects(*nested), *SIZE)
    assert [int((layers == number).sum()) for number in (1, 2, 3)] == [12 * 16, 10 * 14 - 8 * 12, 8 * 12]


def test_there_may_be_more_than_a_hundred_and_none_has_the_number_of_what_is_outside() -> None:
    pieces = [(slice(y, y + 1), slice(x, x + 1)) for y in range(0, 40, 2) for x in range(0, 40, 2)]
    layers = drawn(objects(*pieces, size=(40, 40)), 40, 40)
    values = np.unique(layers[layers > 0])
    assert len(values) == 400
    assert OUTSIDE not in values
    assert values.tolist() == [name(number) for number in range(400)]
    found = placed(layers, np.array([3, 399]))
    assert found.shape == (LAYERS, 40, 40)
    assert np.unique(found).tolist() == [0, 1, 2]
    assert (found[0, 0, 6], found[0, 38, 38]) == (1, 2)


def test_run_lengths_of_a_larger_source_are_made_smaller() -> None:
    layers = drawn(objects((slice(4, 12), slice(6, 14)), size=(24, 32)), *SIZE)
    assert (layers[2:6, 3:7, 0] == 1).all()
    assert np.count_nonzero(layers) == 16


def test_an_object_without_an_outline_is_a_bad_sample() -> None:
    with pytest.raises(BadSample, match="no outlines"):
        drawn(read_objects(json.dumps({"size": [16, 12], "boxes": [[0, 0, 4, 4]], "classes": [0]}).encode()), *SIZE)


def test_masks_go_where_boxes_go() -> None:
    """Crops, flips and what is outside."""
    known = objects((slice(2, 6), slice(3, 7)), (slice(0, 12), slice(0, 16)))
    companions = Companions(boxes=known.boxes, mask=drawn(known, *SIZE))
    spec: list[dict[str, dict[str, Any]]] = [
        {"HorizontalFlip": {"p": 1.0}},
        {"PadIfNeeded": {"min_height": 20, "min_width": 20, "position": "top_left"}},
        {"RandomCrop": {"height": 15, "width": 15}},
    ]
    transform = compose(spec, Rides(frozenset({"boxes", "mask"})))
    for key in range(5):
        view = transform.view(np.zeros((*SIZE, 3), np.uint8), companions, key)
        assert view.mask is not None
        assert view.boxes is not None
        assert view.numbers is not None
        layers = placed(view.mask, view.numbers)
        for place, box in enumerate(view.boxes.astype(int).tolist(), 1):
            y, x = np.nonzero((layers == place).any(0))
            assert [x.min(), y.min(), x.max() + 1, y.max() + 1] == box


def batch() -> dict[str, torch.Tensor]:
    """Two samples: one object on the left, two objects on the right."""
    layers = torch.zeros(2, 1, 8, 8, dtype=torch.int16)
    layers[0, 0, 2:6, 0:4] = 1
    layers[1, 0, 0:4, 4:8], layers[1, 0, 4:8, 2:8] = 1, 2
    boxes = torch.tensor([[[0.0, 2, 4, 6], [0] * 4], [[4, 0, 8, 4], [2, 4, 8, 8]]])
    kind = torch.tensor([[2, -1], [0, 1]], dtype=torch.int16)
    area = torch.tensor([[16.0, 0], [16, 24]])
    return {"boxes": boxes, "kind": kind, "crowd": torch.zeros(2, 2, dtype=torch.uint8), "area": area, "layers": layers}


def test_a_mosaic_has_the_masks_of_its_parts() -> None:
    left, right = Patch(slice(0, 8), slice(0, 4), 0, 0), Patch(slice(0, 8), slice(4, 8), 0, 4)
    (layers,) = mixed(batch(), [(slice(0, 2), Draw((0, 1), (0.5, 0.5), (left, right)))])
    assert torch.equal(layers[0, 0, :, :4], batch()["layers"][0, 0, :, :4])
    assert layers[0, 0, 0, 4:].tolist() == [3] * 4  # the first of the second picture, behind two places of the first
    assert layers[0, 0, 7, 4:].tolist() == [4] * 4


def test_blended_pictures_have_the_masks_of_both() -> None:
    (layers,) = mixed(batch(), [(slice(0, 2), Draw((0, 1), (0.3, 0.7), blend=(1, 0.3)))])
    assert layers.shape == (2, 2, 8, 8)
    assert layers[0].unique().tolist() == [0, 1, 3, 4]


def test_objects_are_laid_over_another_picture() -> None:
    """Whatever is drawn: what is pasted is a whole object, what it covers is cut, and boxes are those of masks."""
    seen = set()
    for key in range(8):
        found = pasted(batch(), key, 1)
        alpha = found["pasted"].bool()
        for i in range(2):
            there = (found["kind"][i] >= 0).tolist()
            seen.add(tuple(there))
            for place, box in enumerate(found["boxes"][i].tolist(), 1):
                ours = (found["layers"][i] == place).any(0)
                if not there[place - 1]:
                    assert place <= 2 or not ours.any()
                    continue
                y, x = ours.nonzero(as_tuple=True)
                assert [x.min(), y.min(), x.max() + 1, y.max() + 1] == box
                assert (alpha[i][ours] == (place > 2)).all()
    assert len(seen) > 3
