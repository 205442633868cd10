"""Boxes: float [..., 4] in px, corners x0, y0, x1, y1 or centred x, y, width, height; x to the right, y downwards."""

import math

import torch
from torch import Tensor

VARIANCES = (0.1, 0.2)
"""Of centres and of sizes, by which SSD divides what it learns: the authors' code, not the paper."""
MOST_LOG = math.log(1000 / 16)
"""Of a size over its prior's: what is decoded is not larger than 62.5 times the prior, so that it is finite."""


def areas(boxes: Tensor) -> Tensor:
    """Compute areas in px2 of corners [..., 4] -> [...]; a box turned inside out has none."""
    width, height = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).unbind(-1)
    return width * height


def overlaps(boxes: Tensor, others: Tensor, crowd: Tensor | None = None) -> Tensor:
    """Compute the IoU of every pair of corners, [..., N, 4] and [..., M, 4] -> [..., N, M].

    crowd: bool [..., M]; over a crowd it is the shared part of the box's own area (COCO's rule). Boxes of no area
    overlap with nothing.
    """
    # Each number by itself lies in memory as pairs do; it is several times quicker.
    x0, y0, x1, y1 = boxes.movedim(-1, 0).contiguous()[..., None]
    left, top, right, bottom = others.movedim(-1, 0).contiguous()[..., None, :]
    width = (torch.minimum(x1, right) - torch.maximum(x0, left)).clamp(min=0)
    height = (torch.minimum(y1, bottom) - torch.maximum(y0, top)).clamp(min=0)
    shared, own = width * height, areas(boxes)[..., None]
    whole = own + areas(others)[..., None, :] - shared
    if crowd is not None:
        whole = torch.where(crowd[..., None, :], own, whole)
    return shared / whole.clamp(min=torch.finfo(whole.dtype).tiny)


def generalized(boxes: Tensor, others: Tensor) -> Tensor:
    """Compute the generalised IoU of corners [..., 4] with those beside them (Rezatofighi et al. 2019): [...].

    1 for equal boxes, down to -1 for small ones that lie far apart.
    """
    low, high = torch.maximum(boxes[..., :2], others[..., :2]), torch.minimum(boxes[..., 2:], others[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    either = areas(boxes) + areas(others) - shared
    around = torch.maximum(boxes[..., 2:], others[..., 2:]) - torch.minimum(boxes[..., :2], others[..., :2])
    whole = around.clamp(min=0).prod(-1)
    least = torch.finfo(boxes.dtype).tiny
    return shared / either.clamp(min=least) - (whole - either) / whole.clamp(min=least)


def clipped(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut corners [..., 4] off at the border of a picture of `size` (H, W) px."""
    height, width = size
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], -1)


def centred(boxes: Tensor) -> Tensor:
    """Turn corners [..., 4] into centres and sizes [..., 4]."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], -1)


def cornered(boxes: Tensor) -> Tensor:
    """Turn centres and sizes [..., 4] into corners [..., 4]."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def encode(boxes: Tensor, priors: Tensor, variances: tuple[float, float] = VARIANCES) -> Tensor:
    """Say where boxes are as seen from their priors, both centred [..., 4] with sizes above 0 (Liu et al. 2016, eq. 2).

    (box - prior) / size of the prior for centres and log(box / prior) for sizes, each over its variance.
    """
    centre = (boxes[..., :2] - priors[..., :2]) / priors[..., 2:] / variances[0]
    return torch.cat([centre, (boxes[..., 2:] / priors[..., 2:]).log() / variances[1]], -1)


def decode(codes: Tensor, priors: Tensor, variances: tuple[float, float] = VARIANCES) -> Tensor:
    """Undo `encode`: codes and centred priors [..., 4] -> centred boxes [..., 4]; see `MOST_LOG`."""
    centre = codes[..., :2] * variances[0] * priors[..., 2:] + priors[..., :2]
    return torch.cat([centre, (codes[..., 2:] * variances[1]).clamp(max=MOST_LOG).exp() * priors[..., 2:]], -1)
