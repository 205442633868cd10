"""What masks look like inside of boxes: RoIAlign of pictures in which each pixel has the number of its object."""

import torch
from torch import Tensor

from models.ops.roi_align import points


def roi_masks(layers: Tensor, boxes: Tensor, numbers: Tensor, side: int, samples: int = 2) -> Tensor:
    """Pool each box' object: int [n, Q, H, W], corners [n, R, 4] in px, int [n, R] -> float32 [n, R, side, side].

    An object's pixels are those that have its number in any of the Q layers. A bin is the mean of samples x samples
    points, as of `roi_align`, but a pixel's place is its middle: strokes are a few px wide, and half a px is much of
    them.
    """
    n, _, height, width = layers.shape
    flat = layers.flatten(2)
    scaled = boxes.detach().float() - 0.5
    lengths = [torch.full(boxes.shape[:2], px, device=boxes.device) for px in (height, width)]
    rows = points(scaled[..., 1], scaled[..., 3], lengths[0], side, samples)
    columns = points(scaled[..., 0], scaled[..., 2], lengths[1], side, samples)
    total = torch.zeros((*boxes.shape[:2], side, side), device=boxes.device)
    for y, down in rows:
        for x, right in columns:
            place = (y[..., :, None] * width + x[..., None, :]).view(n, 1, -1).expand(-1, flat.shape[1], -1)
            there = flat.gather(2, place).unflatten(2, total.shape[1:]) == numbers[:, None, :, None, None]
            total = total + down[..., :, None] * right[..., None, :] * there.any(1)
    return total / samples**2
