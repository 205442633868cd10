"""The objects of a batch: arrays of one width, whose empty places have the class -1.

boxes float32 [n, C, 4] in px of the view, x0, y0, x1, y1; kind int16 [n, C]; crowd uint8 [n, C], see
`pipeline.decode.objects`; area float32 [n, C] in px2 of the source's picture; share float32 [n, C], how much an object
counts, less than 1 where pictures are blended. unit float32 [n]: px of the source's picture a px of the view.
"""

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
EACH = ("boxes", "kind", "crowd", "area", "share")


def layout(most: int) -> "Layout":
    """Name the fields of one sample, with room for `most` objects."""
    return {
        "boxes": (np.dtype(np.float32), (most, 4)),
        "kind": (np.dtype(np.int16), (most,)),
        "crowd": (np.dtype(np.uint8), (most,)),
        "area": (np.dtype(np.float32), (most,)),
        "share": (np.dtype(np.float32), (most,)),
        "unit": (np.dtype(np.float32), ()),
    }


def put(fields: "Arrays", i: int, objects: "Objects", view: "View", stored: tuple[int, int]) -> None:
    """Write the objects that a view still shows, the largest where there is no room for all.

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
    for name, value in (("boxes", 0), ("kind", EMPTY), ("crowd", 0), ("area", 0), ("share", 1)):
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


def mixed(fields: "Fields", drawn: "Drawn") -> "Fields":
    """Move boxes as pixels are pasted; of blended pictures the objects of both, each by its picture's share."""
    import torch

    groups = [_group({name: fields[name][place] for name in EACH}, draw) for place, draw in drawn.groups]
    most = max(group["kind"].shape[1] for group in groups)
    padded = [_padded(group, most) for group in groups]
    return dict(fields) | {name: torch.cat([group[name] for group in padded]) for name in EACH}


def _group(fields: "Fields", draw: "Draw") -> "Fields":
    import torch

    from augment.mixing.patches import partners

    seen = [{name: partners(value, shift) for name, value in fields.items()} for shift in draw.shifts]
    if draw.patches:
        for one, patch in zip(seen, draw.patches, strict=True):
            _cut(one, patch.rows, patch.columns, patch.rows.start - patch.top, patch.columns.start - patch.left)
    elif draw.blend is not None:
        for one, weight in zip(seen, draw.weights, strict=True):
            one["share"] = one["share"] * weight
    return {name: torch.cat([one[name] for one in seen], 1) for name in fields}


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


def _padded(fields: "Fields", most: int) -> "Fields":
    import torch

    empty = {"kind": EMPTY, "share": 1}

    def longer(name: str, value: "Tensor") -> "Tensor":
        lacking = most - value.shape[1]
        more = value.new_full((len(value), lacking, *value.shape[2:]), empty.get(name, 0))
        return torch.cat([value, more], 1) if lacking else value

    return {name: longer(name, value) for name, value in fields.items()}
