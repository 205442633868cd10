"""An answer in the px of the file that it is about."""

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.decode.masks import IGNORED

STRIP_BYTES = 64 << 20
"""Of probabilities that are interpolated at a time."""


def restored(scores: Tensor, frame: Tensor, size: tuple[int, int]) -> Tensor:
    """Choose a class for each px of a picture, uint8 [1, H, W], from probabilities of what the model saw of it.

    scores: float [1, K, h, w] of the view
    frame:  float [2, 3], maps (x, y, 1) in px of the picture to px of the view, both from their upper left corners
    size:   (H, W) of the picture

    Probabilities are interpolated between the middles of the view's pixels (bilinear), then the best class is taken;
    strip by strip, so that memory does not grow with the picture. `IGNORED` where the view does not reach.
    """
    height, width = size
    k, view_height, view_width = scores.shape[1:]
    made = torch.empty(1, height, width, dtype=torch.uint8)
    frame = frame.to(scores.device, torch.float64)
    x = torch.arange(width, device=scores.device, dtype=torch.float64) + 0.5
    strip = max(1, STRIP_BYTES // (4 * k * width))
    for top in range(0, height, strip):
        y = torch.arange(top, min(top + strip, height), device=scores.device, dtype=torch.float64) + 0.5
        seen = [a * x[None] + b * y[:, None] + c for a, b, c in frame.tolist()]
        grid = torch.stack([2 * seen[0] / view_width - 1, 2 * seen[1] / view_height - 1], -1)
        between = functional.grid_sample(
            scores.float(), grid.float()[None], mode="bilinear", padding_mode="border", align_corners=False
        )
        outside = (grid.abs() > 1).any(-1)
        made[:, top : top + len(y)] = between.argmax(1).to(torch.uint8).masked_fill(outside[None], IGNORED).cpu()
    return made
