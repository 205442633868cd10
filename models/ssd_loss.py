"""How SSD learns (Liu et al. 2016, section 2.2): priors are matched to objects, and the hardest of the rest count.

n pictures, P priors, C places for objects, K + 1 columns of scores, the first of which is the background. Targets are
`boxes` float [n, C, 4], corners in px, `kind` int [n, C], -1 where there is no object, and `crowd` int [n, C], above 0
for a crowd (1) or an object that is neither to be found nor missed (2).
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from models.ops.boxes import areas, centred, cornered, encode, overlaps

Targets = Mapping[str, Tensor]
FREE, IGNORED = -1, -2
MATCHED = 0.5
"""A prior belongs to an object when their IoU is above this."""
NEGATIVES = 3
"""For each positive one."""


def match(priors: Tensor, targets: Targets) -> Tensor:
    """Give each prior its object: centred [P, 4] -> the object's place int64 [n, P], or `FREE` or `IGNORED`.

    It is the one with the largest IoU, if that is above `MATCHED`; besides, each object gets the prior that fits it
    best, a later object before an earlier one. Crowds and ignored objects, and those of no area, get none; what would
    belong to the former is left out.
    """
    boxes, kind, crowd = targets["boxes"].float(), targets["kind"], targets["crowd"]
    plain = (kind >= 0) & (crowd == 0) & (areas(boxes) > 0)
    left_out = (kind >= 0) & (crowd > 0)
    iou = overlaps(cornered(priors), boxes, crowd == 1)
    best, found = torch.where(plain[:, None], iou, -1).max(2)
    over = torch.where(left_out[:, None], iou, -1).amax(2) > MATCHED
    found = torch.where(best > MATCHED, found, torch.where(over, IGNORED, FREE))
    places = torch.arange(boxes.shape[1], device=boxes.device).expand_as(kind)
    forced = torch.full_like(found, -1).scatter_reduce(1, iou.argmax(1), torch.where(plain, places, -1), "amax")
    return torch.where(forced >= 0, forced, found)


def hardest(losses: Tensor, free: Tensor, most: Tensor) -> Tensor:
    """Mark the `most` [n] largest losses of each picture among the free: float and bool [n, P] -> bool [n, P].

    Of equal ones the first are taken.
    """
    order = torch.where(free, losses, -torch.inf).sort(dim=1, descending=True, stable=True).indices
    ranks = torch.arange(losses.shape[1], device=losses.device).expand_as(order)
    return free & (torch.empty_like(order).scatter_(1, order, ranks) < most[:, None])


def ssd_losses(codes: Tensor, scores: Tensor, priors: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Sum each picture's loss of places and of classes (eq. 1 to 3), [n] each.

    codes [n, P, 4], scores [n, P, K + 1], centred priors [P, 4].

    `boxes` is the smooth L1 of the codes of matched priors, `classes` the cross-entropy of these and of the hardest
    of the others in the same picture, `NEGATIVES` times as many. Both are to be divided by the matched priors.
    """
    found = match(priors, targets)
    positive = found >= 0
    place = found.clamp(min=0)

    boxes = targets["boxes"].float().gather(1, place[..., None].expand(-1, -1, 4))
    aims = encode(torch.where(positive[..., None], centred(boxes), priors), priors)
    off = functional.smooth_l1_loss(codes.float(), aims, reduction="none").sum(2)

    kinds = torch.where(positive, targets["kind"].long().gather(1, place) + 1, 0)
    wrong = functional.cross_entropy(scores.float().transpose(1, 2), kinds, reduction="none")
    negative = hardest(wrong.detach(), found == FREE, NEGATIVES * positive.sum(1))
    return {"boxes": (off * positive).sum(1), "classes": (wrong * (positive | negative)).sum(1)}
