"""How YOLOv5 learns: objects are given to cells of all levels whose anchors resemble them, three cells an anchor.

n pictures, C places for objects, L levels with A anchors each, P cells, K classes. Targets are those of
`models.ssd_loss`. After the published description of v6; what it computes a level has a count a level here.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.ops.boxes import areas, centred, cornered
from models.ssd_loss import Targets
from models.yolo_cells import STRIDES, Maps, boxes, cells, maps_of, size_of

MOST_RATIO = 4.0
"""Widths and heights of an object and its anchor differ at most by this factor."""
BALANCE = (4.0, 1.0, 0.4)
"""Weights of the levels' objectness, the finest first."""
NOMINAL = 64
"""The published loss is the sum over a batch of so many; its rates of learning and decay are meant for that."""
PUBLISHED_PX, PUBLISHED_CLASSES = 640, 80
"""What the gains of objectness and of classes are meant for."""
EPS = 1e-7


class Assigned(NamedTuple):
    """Objects and the cells that are to find them, int64 [N] each: an object has as many as its anchors want."""

    picture: Tensor
    place: Tensor
    """Of the object among its picture's."""
    level: Tensor
    cell: Tensor


def assign(targets: Targets, anchors: Tensor, maps: Maps) -> Assigned:
    """Give each object its cells; anchors float [L, A, 2] in px, maps the rows and columns of each level.

    An anchor is an object's when neither their widths nor their heights differ by `MOST_RATIO` or more. Its cells are
    the one that holds the object's centre and the nearest neighbours across and along, where there are such. Crowds,
    ignored objects and those of no area get none.
    """
    middle, sides = centred(targets["boxes"].float()).split(2, -1)
    plain = (targets["kind"] >= 0) & (targets["crowd"] == 0) & (areas(targets["boxes"].float()) > 0)
    picture, place = plain.nonzero(as_tuple=True)
    middle, sides = middle[picture, place], sides[picture, place]

    ratio = sides[:, None, None] / anchors
    fits = torch.maximum(ratio, 1 / ratio).amax(-1) < MOST_RATIO
    strides, grid = (middle.new_tensor(values) for values in (STRIDES, [[w, h] for h, w in maps]))
    where = middle[:, None] / strides[:, None]
    own = where.floor().minimum(grid - 1)
    before = (where % 1 < 0.5) & (where > 1)
    rest = grid - where
    behind = (rest % 1 < 0.5) & (rest > 1)
    takes = torch.cat([torch.ones_like(before[..., :1]), before, behind], -1)
    object_, level, anchor, step = (fits[..., None] & takes[:, :, None]).nonzero(as_tuple=True)

    steps = own.new_tensor([[0, 0], [-1, 0], [0, -1], [1, 0], [0, 1]])
    column, row = (own[object_, level] + steps[step]).long().unbind(-1)
    sizes = [rows * columns for rows, columns in maps]
    first = [anchors.shape[1] * sum(sizes[:i]) for i in range(len(sizes))]
    begin, size, width = torch.tensor([first, sizes, [w for _, w in maps]], device=column.device)[:, level]
    return Assigned(picture[object_], place[object_], level, begin + anchor * size + row * width + column)


def ciou(found: Tensor, true: Tensor) -> Tensor:
    """Compute the complete IoU of pairs of centred boxes [N, 4] -> [N] (Zheng et al. 2020, "Distance-IoU loss", eq. 8).

    The IoU, less the squared distance of the centres over that of the corners of what holds both, less how far the
    proportions differ, whose weight has no gradient (eq. 11).
    """
    first, second = cornered(found), cornered(true)
    width, height = (first[:, 2:].minimum(second[:, 2:]) - first[:, :2].maximum(second[:, :2])).clamp(min=0).unbind(-1)
    shared = width * height
    iou = shared / (found[:, 2:].prod(-1) + true[:, 2:].prod(-1) - shared + EPS)
    around = first[:, 2:].maximum(second[:, 2:]) - first[:, :2].minimum(second[:, :2])
    apart = (found[:, :2] - true[:, :2]).square().sum(-1) / (around.square().sum(-1) + EPS)
    angle = [torch.atan(one[:, 2] / one[:, 3].clamp(min=EPS)) for one in (true, found)]
    shape = (4 / math.pi**2) * (angle[0] - angle[1]).square()
    with torch.no_grad():
        weight = shape / (shape - iou + 1 + EPS)
    return iou - apart - weight * shape


def counts(targets: Targets, anchors: Tensor, size: tuple[int, int], num_classes: int) -> dict[str, Tensor]:
    """Count what each part of the loss is divided by, float [n]: of each level cells with an object, and cells."""
    maps, n = maps_of(size), len(targets["kind"])
    found = assign(targets, anchors, maps)
    positive = _by_level(torch.ones_like(found.cell, dtype=torch.float32), found, n)
    asked = _asked(targets, cells(maps, anchors), found)
    every = [level.sum(1, dtype=torch.float32) for level in asked.split(_sizes(maps, anchors), 1)]
    return _named(positive, every, positive if num_classes > 1 else None)


def losses(
    codes: Tensor,
    objectness: Tensor,
    scores: Tensor,
    places: Tensor,
    targets: Targets,
    anchors: Tensor,
    gains: tuple[float, float, float],
) -> dict[str, Tensor]:
    """Sum each picture's loss of boxes, objectness and classes, of each level by itself: float [n] by name.

    codes [n, P, 4], objectness [n, P], scores [n, P, K], cells `places` [P, 5], anchors [L, A, 2] px; `gains` are the
    parts' weights.

    Boxes lose 1 - CIoU, where an object is given to a cell, and classes the binary cross-entropy, a mean over classes.
    Objectness has that of every cell, whose aim is the CIoU of what it found, the largest where several objects are
    given to it (published: whichever is written last). Cells in crowds and ignored objects are not asked.
    """
    size, n = size_of(places), len(codes)
    maps = maps_of(size)
    found = assign(targets, anchors, maps)
    true = centred(targets["boxes"].float())[found.picture, found.place]
    overlap = ciou(boxes(codes[found.picture, found.cell].float(), places[found.cell]), true)
    off = _by_level(1 - overlap, found, n)

    spot = found.picture * len(places) + found.cell
    aims = torch.zeros(n * len(places), device=codes.device)
    aims = aims.scatter_reduce(0, spot, overlap.detach().clamp(min=0), "amax").view(n, -1)
    wrong = functional.binary_cross_entropy_with_logits(objectness.float(), aims, reduction="none")
    wrong = torch.where(_asked(targets, places, found), wrong, 0)
    box, obj, cls = (NOMINAL * gain for gain in gains)
    obj *= size[0] * size[1] / PUBLISHED_PX**2
    levels = wrong.split(_sizes(maps, anchors), 1)
    lost = [obj * balance * level.sum(1) for balance, level in zip(BALANCE, levels, strict=True)]

    classes = scores.shape[2]
    if classes == 1:
        return _named([box * one for one in off], lost, None)
    kinds = functional.one_hot(targets["kind"].long()[found.picture, found.place], classes).float()
    said = scores[found.picture, found.cell].float()
    mistaken = functional.binary_cross_entropy_with_logits(said, kinds, reduction="none").mean(1)
    cls *= classes / PUBLISHED_CLASSES
    return _named([box * one for one in off], lost, [cls * one for one in _by_level(mistaken, found, n)])


def _asked(targets: Targets, places: Tensor, found: Assigned) -> Tensor:
    """Mark the cells whose objectness is known, bool [n, P]: all but those whose centre lies in what is left out."""
    n = len(targets["kind"])
    picture, place = ((targets["kind"] >= 0) & (targets["crowd"] > 0)).nonzero(as_tuple=True)
    x0, y0, x1, y1 = targets["boxes"].float()[picture, place, :, None].unbind(1)
    x, y = places[:, 0], places[:, 1]
    inside = ((x > x0) & (x < x1) & (y > y0) & (y < y1)).float()
    asked = torch.zeros(n, len(places), device=places.device).index_add_(0, picture, inside) == 0
    return asked.index_put((found.picture, found.cell), torch.ones_like(found.cell, dtype=torch.bool))


def _by_level(values: Tensor, found: Assigned, n: int) -> list[Tensor]:
    """Sum values [N] of what was assigned by level and picture -> [n] each."""
    sums = values.new_zeros(len(STRIDES) * n).index_add(0, found.level * n + found.picture, values)
    return list(sums.view(-1, n))


def _sizes(maps: Maps, anchors: Tensor) -> list[int]:
    """Count the cells of each level."""
    return [rows * columns * anchors.shape[1] for rows, columns in maps]


def _named(off: list[Tensor], lost: list[Tensor], mistaken: list[Tensor] | None) -> dict[str, Tensor]:
    parts = {"boxes": off, "objectness": lost} | ({"classes": mistaken} if mistaken is not None else {})
    return {
        f"{name}{stride}": level
        for name, levels in parts.items()
        for stride, level in zip(STRIDES, levels, strict=True)
    }
