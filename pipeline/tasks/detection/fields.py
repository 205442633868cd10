"""The objects of a batch: arrays of one width, whose empty places have the class -1.

boxes float32 [n, C, 4] in px of the view, x0, y0, x1, y1; kind int16 [n, C]; crowd uint8 [n, C], see
`pipeline.decode.objects`; area float32 [n, C] in px2 of the source's picture. unit float32 [n]: px of the source's
picture a px of the view. Mixed batches have layer uint8 [n, C], which of M blended pictures an object is of, and share
float32 [n, M], how much of each is seen.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from augment.mixing.base import Draw
    from augment.mixing.batch import Drawn
    from augment.rides import View
    from pipeline.decode.objects import Objects
    from pipeline.tasks.base import Arrays, Fields, Layout

EMPTY = -1
"""The class of a place without an object."""
LEAST_PX = 2.0
LEAST_SHARE = 0.1
"""What is less than so many px wide or high, or shows less of its object, is no object of a mixed picture."""
EACH = ("boxes", "kind", "crowd", "area")


def layout(most: int) -> "Layout":
    """Name the fields of one sample, with room for `most` objects."""
    return {
        "boxes": (np.dtype(np.float32), (most, 4)),
        "kind": (np.dtype(np.int16), (most,)),
        "crowd": (np.dtype(np.uint8), (most,)),
        "area": (np.dtype(np.float32), (most,)),
        "unit": (np.dtype(np.float32), ()),
    }


def put(fields: "Arrays", i: int, objects: "Objects", view: "View", stored: tuple[int, int]) -> np.ndarray:
    """Write the objects that a view still shows, the largest where there is no room for all, and return their numbers.

    stored: (H, W) of the stored picture in px
    """
    assert view.boxes is not None
    assert view.numbers is not None
    room = fields["kind"].shape[1]
    boxes, numbers = view.boxes, view.numbers
    if len(boxes) > room:
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        chosen = np.sort(np.argsort(-areas, kind="stable")[:room])
        boxes, numbers = boxes[chosen], numbers[chosen]
    number = len(boxes)
    for name, value in (("boxes", 0), ("kind", EMPTY), ("crowd", 0), ("area", 0)):
        fields[name][i] = value
    fields["boxes"][i, :number] = boxes
    fields["kind"][i, :number] = objects.classes[numbers]
    fields["crowd"][i, :number] = objects.crowd[numbers]
    fields["area"][i, :number] = objects.areas[numbers]
    fields["unit"][i] = 0
    if view.frame is not None:
        width, height = objects.size
        (a, b, _), (c, d, _) = view.frame.tolist()
        scale = np.float64(abs(a * d - b * c))
        fields["unit"][i] = np.sqrt(width * height / (stored[0] * stored[1] * scale))
    return numbers


def mixed(fields: "Fields", drawn: "Drawn") -> "Fields":
    """Move boxes as pixels are pasted; of blended pictures the objects of both, each in a layer of its own."""
    groups = [_group({name: fields[name][place] for name in EACH}, draw) for place, draw in drawn.groups]
    return dict(fields) | {name: joined(name, [group[name] for group in groups]) for name in groups[0]}


def resized(fields: "Fields", size: tuple[int, ...], to: tuple[int, ...]) -> "Fields":
    """Scale boxes from a view of `size` (H, W) to one of another, and say what a px then stands for."""
    down, right = (new / old for new, old in zip(to, size, strict=True))
    scale = fields["boxes"].new_tensor([right, down, right, down])
    return {**fields, "boxes": fields["boxes"] * scale, "unit": fields["unit"] / math.sqrt(down * right)}


def layers(fields: "Fields") -> "Iterator[tuple[Fields, Tensor]]":
    """Yield the fields of each of the pictures that were blended, and its share, float [n]: a loss is the sum of what
    it is for each, times this (Zhang et al. 2018, "mixup", eq. 1), as it is for labels.
    """
    if "share" not in fields:
        yield fields, fields["boxes"].new_ones(len(fields["boxes"]))
        return
    for number, share in enumerate(fields["share"].unbind(1)):
        yield {**fields, "kind": fields["kind"].masked_fill(fields["layer"] != number, EMPTY)}, share


def summed(of_layers: "Sequence[tuple[Fields, Tensor]]") -> "dict[str, Tensor]":
    """Sum numbers [n] by name over pictures and layers, each times the weight [n] beside it."""
    import torch

    return {
        name: torch.stack([(each[name] * weight).sum() for each, weight in of_layers]).sum() for name in of_layers[0][0]
    }


def _group(fields: "Fields", draw: "Draw") -> "Fields":
    import torch

    from augment.mixing.patches import partners

    if draw.zoom:
        fields = {**fields, "boxes": fields["boxes"] * fields["boxes"].new_tensor([draw.zoom[1], draw.zoom[0]] * 2)}
    seen = [{name: partners(value, shift) for name, value in fields.items()} for shift in draw.shifts]
    if draw.patches:
        for one, patch in zip(seen, draw.patches, strict=True):
            _cut(one, patch.rows, patch.columns, patch.rows.start - patch.top, patch.columns.start - patch.left)
    for number, one in enumerate(seen):
        one["layer"] = torch.full_like(one["crowd"], 0 if draw.patches else number)
    shares = fields["boxes"].new_tensor([1.0] if draw.patches else draw.weights)
    together = {name: torch.cat([one[name] for one in seen], 1) for name in seen[0]}
    return together | {"share": shares.expand(len(fields["kind"]), -1)}


def _cut(fields: "dict[str, Tensor]", rows: slice, columns: slice, down: int, right: int) -> None:
    """Move objects and leave of each what lies inside of rows and columns; little of one is none."""
    import torch

    boxes = fields["boxes"] + torch.tensor([right, down, right, down], device=fields["boxes"].device)
    low = torch.tensor([columns.start, rows.start], device=boxes.device)
    high = torch.tensor([columns.stop, rows.stop], device=boxes.device)
    inside = torch.cat([boxes[..., :2].maximum(low), boxes[..., 2:].minimum(high)], -1)
    sides, before = (inside[..., 2:] - inside[..., :2]).clamp(min=0), boxes[..., 2:] - boxes[..., :2]
    visible = sides.prod(-1) / before.prod(-1).clamp(min=1e-9)
    goes = (sides < LEAST_PX).any(-1) | (visible < LEAST_SHARE)
    fields["boxes"] = torch.where(goes[..., None], 0, inside)
    fields["kind"] = fields["kind"].masked_fill(goes, EMPTY)
    fields["area"] = fields["area"] * visible


def joined(name: str, parts: "list[Tensor]") -> "Tensor":
    """Join groups [g, C, ...] of which some have fewer places; these are empty at the end."""
    import torch

    most, empty = max(part.shape[1] for part in parts), EMPTY if name == "kind" else 0
    lacking = [part.new_full((len(part), most - part.shape[1], *part.shape[2:]), empty) for part in parts]
    return torch.cat([torch.cat(pair, 1) for pair in zip(parts, lacking, strict=True)])
