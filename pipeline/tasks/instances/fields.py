"""The masks of a batch's objects: numbers of objects in the pixels.

layers int16 [n, Q, H, W]: the place of the object that a pixel belongs to in the batch's other arrays, counted from 1,
and 0 where there is none. Objects that lie over each other are in different layers, so that there may be any number of
them; where more than Q do, the smaller ones are seen. A mixed batch has pasted uint8 [n, H, W] where objects of another
picture are laid over this one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.decode.limits import BadSample
from pipeline.tasks.detection.fields import EACH, EMPTY, LEAST_SHARE

if TYPE_CHECKING:
    from torch import Tensor

    from augment.mixing.base import Draw
    from pipeline.decode.objects import Objects
    from pipeline.tasks.base import Fields, Layout

LAYERS = 2
OUTSIDE = 255
"""What transforms write into a mask where there is no picture: no object has this number."""


def layout(height: int, width: int) -> "Layout":
    """Name what a sample has beside its boxes."""
    return {"layers": (np.dtype(np.int16), (LAYERS, height, width))}


def drawn(objects: "Objects", height: int, width: int) -> np.ndarray:
    """Draw the outlines of a picture's objects as it is stored, uint16 [H, W, LAYERS]: of object i the `name` of i.

    Small ones are drawn last. BadSample for an object without an outline.
    """
    if len(objects.outlines) < len(objects):
        raise BadSample("its objects have no outlines, and the task `instances` needs them: does the source give any?")
    layers = np.zeros((LAYERS, width * height), np.uint16)
    places = [_places(one, height, width) for one in objects.outlines]
    for i in sorted(range(len(places)), key=lambda i: (-len(places[i]), i)):
        free = (layer for layer in layers[:-1] if not layer[places[i]].any())
        next(free, layers[-1])[places[i]] = name(i)
    return np.ascontiguousarray(layers.reshape(LAYERS, width, height).T)


def name(number: int) -> int:
    """Return the value of the pixels of an object, by its number from 0 on.

    >>> name(0), name(253), name(254)
    (1, 254, 256)
    """
    return number + 1 + (number + 1 >= OUTSIDE)


def placed(mask: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return layers int16 [Q, H, W] of what became of `drawn`, [H, W, Q], in which the objects `numbers` are left."""
    table = np.zeros(max(int(mask.max(initial=0)), name(int(numbers.max(initial=0)))) + 1, np.int16)
    for place, number in enumerate(numbers.tolist(), 1):
        table[name(number)] = place
    return table[mask].transpose(2, 0, 1)


def mixed(fields: "Fields", groups: "Sequence[tuple[slice, Draw]]") -> "list[Tensor]":
    """Move masks as pixels are: layers int16 [g, any, H, W] of each group; objects count on from picture to picture."""
    import torch

    from augment.mixing.patches import partners

    made = []
    for place, draw in groups:
        own, count = fields["layers"][place], fields["kind"].shape[1]
        seen = [
            torch.where(one > 0, one + number * count, 0)
            for number, one in enumerate(partners(own, shift) for shift in draw.shifts)
        ]
        if draw.patches:
            whole = torch.zeros_like(own)
            for one, patch in zip(seen, draw.patches, strict=True):
                tall, wide = patch.rows.stop - patch.rows.start, patch.columns.stop - patch.columns.start
                cut = one[..., patch.top : patch.top + tall, patch.left : patch.left + wide]
                whole[..., patch.rows, patch.columns] = cut
            seen = [whole]
        made.append(torch.cat(seen, 1).to(own.dtype))
    return made


def pasted(fields: "Fields", key: int, shift: int) -> "dict[str, Tensor]":
    """Lay about half of the objects of other pictures over a group's (Ghiasi et al. 2021, "Simple Copy-Paste").

    What they cover of an object is no longer its; where little is left it is none, else its box is that of the rest.
    """
    import torch

    from augment.mixing.patches import partners
    from models.ops.draws import uniform

    own = {name: fields[name] for name in (*EACH, "layers")}
    other = {name: partners(value, shift) for name, value in own.items()}
    n, count = own["kind"].shape
    keys = key + torch.arange(n, device=own["kind"].device)
    chosen = (uniform(keys, count) < 0.5) & (other["kind"] >= 0) & (other["crowd"] == 0)
    table = torch.nn.functional.pad(chosen, (1, 0))
    laid = table.gather(1, other["layers"].flatten(1).long()).view_as(other["layers"])
    over = laid.any(1, keepdim=True)
    before, _ = _shown(own["layers"], count)
    rest = torch.where(over, 0, own["layers"])
    left, boxes = _shown(rest, count)
    share = left / before.clamp(min=1)
    touched = (left < before) & (own["kind"] >= 0)
    gone = touched & (share < LEAST_SHARE)
    own["boxes"] = torch.where(touched[..., None], boxes, own["boxes"])
    own["kind"] = own["kind"].masked_fill(gone, EMPTY)
    own["area"] = torch.where(touched, own["area"] * share, own["area"])
    other["kind"] = other["kind"].masked_fill(~chosen, EMPTY)
    together = {name: torch.cat([own[name], other[name]], 1) for name in EACH}
    layers = torch.where(over, torch.where(laid, other["layers"] + count, 0), own["layers"]).to(own["layers"].dtype)
    together["layer"] = torch.zeros_like(together["crowd"])
    share_of = together["boxes"].new_ones(n, 1)
    return {**together, "layers": layers, "pasted": over[:, 0].to(torch.uint8), "share": share_of}


def _shown(layers: "Tensor", count: int) -> "tuple[Tensor, Tensor]":
    """Count pixels of each object, float [n, count], and find the boxes around them, float [n, count, 4]."""
    import torch

    n, q, height, width = layers.shape
    number = layers.flatten(1).long()
    y, x = torch.meshgrid(*(torch.arange(side, device=layers.device) for side in (height, width)), indexing="ij")
    x, y = (one.flatten().repeat(q).expand(n, -1).float() for one in (x, y))
    zeros = x.new_zeros(n, count + 1)
    pixels = zeros.scatter_add(1, number, torch.ones_like(x))
    low = [zeros.scatter_reduce(1, number, one, "amin", include_self=False) for one in (x, y)]
    high = [zeros.scatter_reduce(1, number, one + 1, "amax", include_self=False) for one in (x, y)]
    return pixels[:, 1:], torch.stack([*low, *high], 2)[:, 1:]


def _places(outline: Any, height: int, width: int) -> np.ndarray:
    """Find an object's pixels in a stored picture: column by column, int64 [P].

    Run lengths are of the source's picture: they are made as small as the stored one, each pixel the nearest.
    """
    import cv2

    from pipeline.decode.outlines import pixels_of, runs

    size = outline.get("size") if isinstance(outline, dict) else None
    if not isinstance(size, list) or size == [height, width] or len(size) != 2:
        return pixels_of(outline, width, height)
    if not all(isinstance(side, int) and 0 < side < 1 << 16 for side in size):
        raise BadSample(f"run lengths are of a picture of the size {size}")
    bits = runs(outline, size[1], size[0]).astype(np.uint8)
    return np.flatnonzero(cv2.resize(bits, (width, height), interpolation=cv2.INTER_NEAREST_EXACT).T)
