"""RoIAlign (He et al. 2017, "Mask R-CNN", section 3) on the maps of a pyramid, all boxes of all pictures at once."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

CANONICAL_PX, CANONICAL_LEVEL = 224, 4
"""A box of that side belongs to the level whose stride is 2^4 px (Lin et al. 2017, "FPN", eq. 1)."""
LEAST = 1e-6
"""Added before rounding down, so that a box of just the canonical side stays on its level; torchvision's."""


def levels(boxes: Tensor, coarsest: int, finest: int = 2) -> Tensor:
    """Assign boxes to levels by their size (FPN, eq. 1): corners [..., 4] in px -> int64 [...], 0 is the finest.

    The finest has a stride of 2^`finest` px, the coarsest of 2^`coarsest`; a box of no area belongs to the finest.
    """
    width, height = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).unbind(-1)
    level = (CANONICAL_LEVEL + ((width * height).sqrt() / CANONICAL_PX).log2() + LEAST).floor()
    return (level.clamp(finest, coarsest) - finest).long()


def roi_align(
    maps: Sequence[Tensor], strides: Sequence[int], boxes: Tensor, level: Tensor, side: int, samples: int = 2
) -> Tensor:
    """Pool what is in each box: maps [n, C, h_l, w_l], corners [n, R, 4] in px -> float32 [n, R, C, side, side].

    strides: px a place of each map stands for
    level:   int64 [n, R], on which map each box is looked for
    samples: a bin is the mean of samples x samples points, spread evenly, between places bilinearly

    Places are not moved by half (`aligned=False` of torchvision, whose results these are): place (0, 0) is px (0, 0).
    A box is at least one place wide and high. A point more than one place outside of the map is 0; nearer ones, and
    those beyond the last place, have the value of the border. Boxes get no gradient. Memory is that of the result, and
    of its places and weights 4 * samples^2 times.
    """
    n, channels = maps[0].shape[:2]
    table = torch.cat([one.flatten(2) for one in maps], 2).transpose(1, 2).reshape(-1, channels).float()
    counts = [one.shape[2] * one.shape[3] for one in maps]
    starts = [sum(counts[:i]) for i in range(len(maps))]
    of_picture = torch.arange(n, device=boxes.device)[:, None] * sum(counts)
    facts = [(one.shape[2], one.shape[3], start) for one, start in zip(maps, starts, strict=True)]
    height, width, start = torch.tensor(facts, device=boxes.device)[level].unbind(-1)
    scale = 1 / torch.tensor(strides, device=boxes.device, dtype=torch.float32)
    scaled = boxes.detach().float() * scale[level][..., None]
    rows = points(scaled[..., 1], scaled[..., 3], height, side, samples)
    columns = points(scaled[..., 0], scaled[..., 2], width, side, samples)
    first = (of_picture + start)[..., None, None]
    places, weights = [], []
    for y, down in rows:
        for x, right in columns:
            places.append(first + y[..., :, None] * width[..., None, None] + x[..., None, :])
            weights.append(down[..., :, None] * right[..., None, :])
    return _weighted(table, places, weights).permute(0, 1, 4, 2, 3) / samples**2


def _weighted(table: Tensor, places: list[Tensor], weights: list[Tensor]) -> Tensor:
    """Sum the rows of a table [N, C] at some places [...], each times its weight -> [..., C]."""
    if torch.compiler.is_exporting():  # what a file holds has no bags
        total = table.new_zeros((*places[0].shape, table.shape[1]))
        for place, weight in zip(places, weights, strict=True):
            total = total + weight[..., None] * functional.embedding(place, table)
        return total
    shape = places[0].shape
    bags, shares = (torch.stack(parts, -1).flatten(0, -2) for parts in (places, weights))
    return functional.embedding_bag(bags, table, per_sample_weights=shares, mode="sum").view(*shape, -1)


def points(low: Tensor, high: Tensor, length: Tensor, side: int, samples: int) -> list[tuple[Tensor, Tensor]]:
    """Return places and weights along an axis, [n, R, side] each: two for each of the points in a bin."""
    steps = (torch.arange(side * samples, device=low.device) + 0.5) / (side * samples)
    at = low[..., None] + (high - low).clamp(min=1)[..., None] * steps
    last = (length - 1)[..., None]
    inside = ((at >= -1) & (at <= length[..., None])).float()
    at = torch.minimum(at.clamp(min=0), last.float())
    before = at.floor().long()
    after = torch.minimum(before + 1, last)
    share = at - before
    found = []
    for place, weight in ((before, (1 - share) * inside), (after, share * inside)):
        by_bin = zip(
            place.unflatten(-1, (side, samples)).unbind(-1),
            weight.unflatten(-1, (side, samples)).unbind(-1),
            strict=True,
        )
        found += list(by_bin)
    return found
