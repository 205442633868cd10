"""Non-maximum suppression: of boxes that overlap, the one with the highest score stays. Ties go by place.

Who stays follows from who stays before it: a box does unless one of those overlaps it. Here all boxes begin as staying
and that rule is applied to all at once until nothing changes. The first box is right from the start, and each round
makes one more link of every chain right, so that the end is what the loop over boxes gives, after as many rounds as the
longest chain of boxes that decide over one another: a few.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from models.ops.boxes import areas, overlaps

BLOCK = 256
"""Boxes that are compared with one another at once."""
PART = 1024
"""Boxes that are compared with those of a block that stay."""
GROUP = 64
"""Boxes of a row that are compared with one another at once, and then with all behind them."""
PAIRS = 1 << 17
"""Pairs of rows whose overlap is computed at once: what a processor's cache holds, and a small part of any GPU."""


def nms(boxes: Tensor, scores: Tensor, overlap: float, kinds: Tensor | None = None) -> Tensor:
    """Find the boxes that stay: corners [D, 4] and scores [D] -> places int64 [N], the highest score first.

    overlap: a box goes when its IoU with one that stays is above this, which is 0 or more
    kinds: int [D], class-wise: boxes of different kinds let each other be. The number of a picture may be in it, too.

    Those of a block that stay are compared with all behind it, from left to right, a part at a time: most boxes of the
    block lie wholly beside a part. Beyond what the boxes take, memory is that of `BLOCK` x `PART` pairs.
    """
    order = scores.sort(descending=True, stable=True).indices
    ranked, kinds = boxes[order], None if kinds is None else kinds[order]
    # IoU as `overlaps` computes it, to the bit; a box's area is computed once, and pairs are not copied.
    rows = torch.cat([ranked, areas(ranked)[:, None]], 1)

    def removes(first: Tensor, second: Tensor) -> Tensor:
        x0, y0, x1, y1, own = rows[first].T.contiguous()[..., None]
        left, top, right, bottom, others = rows[second].T.contiguous()
        shared = torch.minimum(x1, right).sub_(torch.maximum(x0, left)).clamp_(min=0)
        shared *= torch.minimum(y1, bottom).sub_(torch.maximum(y0, top)).clamp_(min=0)
        whole = (own + others).sub_(shared).clamp_(min=torch.finfo(boxes.dtype).tiny)
        removed = shared.div_(whole) > overlap
        return removed if kinds is None else removed & (kinds[first, None] == kinds[second])

    left, right = rows[:, 0].contiguous(), rows[:, 2].contiguous()
    rest, across = torch.arange(len(order), device=boxes.device), left.argsort()
    waiting = torch.ones_like(scores, dtype=torch.bool)
    kept = [rest[:0]]
    while len(rest):
        block, rest = rest[:BLOCK], rest[BLOCK:]
        waiting[block] = False
        block = block[_first_come(removes(block, block).triu(1))]
        kept.append(block)
        across = across[waiting[across]]
        for part in across.split(PART) if len(across) else ():
            beside = block[(left[block] < right[part].max()) & (right[block] > left[part].min())]
            waiting[part] = ~removes(beside, part).any(0)
        rest = rest[waiting[rest]]
    return order[torch.cat(kept)]


@torch.library.custom_op("zoetrope::nms", mutates_args=())
def staying(boxes: Tensor, scores: Tensor, overlap: float, threshold: float) -> Tensor:
    """Mark the boxes that stay in each row: corners [R, D, 4] and scores [R, D] -> bool [R, D].

    Boxes whose score is not above `threshold` take no part. It is an operator of its own in a traced model, which ONNX
    has, too: `pipeline.exported.operators`.
    """
    ranked, order = scores.sort(dim=1, descending=True, stable=True)
    most = int((scores > threshold).sum(1).max()) if scores.numel() else 0
    inside = boxes.gather(1, order[:, :most, None].expand(-1, -1, 4))
    stays = ranked > threshold
    rows = max(1, PAIRS // max(1, GROUP * most))
    for first in range(0, len(boxes), rows):
        for start in range(0, most, GROUP):
            cut, end = slice(first, first + rows), min(start + GROUP, most)
            group, behind = slice(start, end), slice(end, most)
            near = overlaps(inside[cut, group], inside[cut, start:most]) > overlap
            alive = stays[cut, group]
            alive &= _first_come(near[..., : end - start].triu(1) & alive[..., None])
            stays[cut, behind] &= ~(near[..., end - start :] & alive[..., None]).any(-2)
    return torch.zeros_like(stays).scatter_(1, order, stays)


@staying.register_fake
def _(boxes: Tensor, scores: Tensor, overlap: float, threshold: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


NMS = torch.ops.zoetrope.nms.default
"""`staying` as it stands in a graph."""


def soft_nms(boxes: Tensor, scores: Tensor, decay: Callable[[Tensor], Tensor], threshold: float = 0.001) -> Tensor:
    """Lower the scores of boxes by those before them (Bodla et al. 2017): [..., D, 4] and [..., D] -> scores [..., D].

    The box with the highest score is settled, the others' scores are multiplied by the decay of their IoU with it, and
    so on; what is no longer above `threshold` is dropped and gets 0. In a round here, all are settled that no higher
    one overlaps. Memory is D x D a row.
    """
    factor = decay(overlaps(boxes, boxes))
    touches = factor < 1
    places = torch.arange(scores.shape[-1], device=scores.device)
    earlier = places[:, None] < places
    waiting = scores > threshold
    while waiting.any():
        before = scores[..., :, None] > scores[..., None, :]
        before |= (scores[..., :, None] == scores[..., None, :]) & earlier
        blocked = (before & touches & waiting[..., :, None]).any(-2)
        settled, waiting = waiting & ~blocked, waiting & blocked
        lowered = scores * torch.where(settled[..., :, None], factor, 1).prod(-2)
        scores = torch.where(waiting, lowered, scores)
        waiting = waiting & (scores > threshold)
    return torch.where(scores > threshold, scores, 0)


def linear(overlap: float) -> Callable[[Tensor], Tensor]:
    """Decay of 1 - IoU where that is above `overlap` (eq. 2 of soft NMS)."""
    return lambda iou: torch.where(iou > overlap, 1 - iou, 1)


def gaussian(sigma: float = 0.5) -> Callable[[Tensor], Tensor]:
    """Decay of exp(-IoU^2 / sigma) (eq. 3 of soft NMS)."""
    return lambda iou: (-iou.square() / sigma).exp()


def _first_come(removes: Tensor) -> Tensor:
    """bool [..., D, D], whether i would remove j, for i before j alone -> bool [..., D], who stays."""
    stays = torch.ones_like(removes[..., 0, :])
    while True:
        before, stays = stays, ~(removes & stays[..., :, None]).any(-2)
        if torch.equal(before, stays):
            return stays
