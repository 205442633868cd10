"""From boxes and scores to detections: the last step of every detector."""

import torch
from torch import Tensor
from torch.nn import functional

from models.ops.nms import staying

CANDIDATES = 400
"""Of a class, which take part in the suppression: the highest scores."""


def detections(
    boxes: Tensor, scores: Tensor, most: int, threshold: float, overlap: float, candidates: int = CANDIDATES
) -> dict[str, Tensor]:
    """Suppress class by class and keep the best: corners [n, P, 4] and scores [n, P, K], 0 to 1.

    Where each class has boxes of its own, corners are [n, P, K, 4].

    -> `boxes` float [n, most, 4], `score` [n, most], the highest first, and `kind` int64 [n, most]; empty places have
    score 0, kind -1 and a box of zeros. Scores have to be above `threshold`. Ties go by class, then by place.
    """
    n, _, classes = scores.shape
    ranked, order = scores.transpose(1, 2).sort(dim=2, descending=True, stable=True)
    ranked, order = ranked[..., :candidates], order[..., :candidates]
    k = ranked.shape[2]
    if boxes.dim() == 4:
        inside = boxes.transpose(1, 2).gather(2, order[..., None].expand(-1, -1, -1, 4)).flatten(1, 2)
    else:
        inside = boxes.gather(1, order.flatten(1)[..., None].expand(-1, -1, 4))
    stays = staying(inside.view(n * classes, k, 4), ranked.reshape(n * classes, k), overlap, threshold)
    best, where = torch.where(stays.reshape(n, -1), ranked.flatten(1), 0).sort(dim=1, descending=True, stable=True)
    best, where = (_padded(one, most) for one in (best, where))
    found = best > 0
    return {
        "boxes": inside.gather(1, where[..., None].expand(-1, -1, 4)) * found[..., None],
        "score": best,
        "kind": torch.where(found, where // k, -1),
    }


def _padded(rows: Tensor, most: int) -> Tensor:
    return functional.pad(rows[:, :most], (0, max(0, most - rows.shape[1])))
