"""How both stages of an R-CNN learn (Ren et al. 2015, "Faster R-CNN", section 3.1.2; Girshick 2015, "Fast R-CNN").

n pictures, P anchors, R boxes, C places for objects, K + 1 columns of scores, the first of which is the background.
Targets are as of `models.ssd_loss`, and may have `key` int64 [n], of which everything is drawn. A part is a sum over
what is drawn, to be divided by how many are to be drawn, which does not depend on what the model says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.ops.boxes import areas, centred, cornered, decode, encode, generalized, overlaps
from models.ops.draws import sampled
from models.ops.roi_masks import roi_masks
from models.ssd_loss import FREE, IGNORED, Targets

BETA = 1 / 9
"""Where the smooth L1 of both stages becomes linear, torchvision's."""
WITHIN_CROWD = 0.5
"""A box that is no object's is left out where more of it than this is in a crowd, or in an object to be ignored."""


@dataclass(frozen=True)
class Sampling:
    """Which boxes are an object's, and how many of these and of the background are drawn from a picture.

    high, low: a box belongs to the object with the largest IoU where this is `high` or more, and to the background
        where it is below `low`; in between it is left out
    forced: whether the boxes that fit an object best belong to their own best object, however little that is
    size: of the draw, of which up to the share `positive` are objects'
    stream: of draws
    beta: where the smooth L1 of codes becomes linear
    giou: with which factor boxes learn by their generalised IoU in place of it
    """

    high: float
    low: float
    forced: bool
    size: int
    positive: float
    variances: tuple[float, float]
    stream: int
    beta: float = BETA
    giou: float | None = None

    @property
    def most(self) -> int:
        """How many objects' boxes are drawn at most."""
        return int(self.size * self.positive)

    def match(self, boxes: Tensor, targets: Targets) -> Tensor:
        """Give each box its object: corners [n or 1, P, 4] -> the object's place int64 [n, P], `FREE` or `IGNORED`.

        Crowds and ignored objects, and those of no area, get none.
        """
        used = targets["kind"].shape[1] if torch.compiler.is_compiling() else last_place(targets["kind"])
        true, kind, crowd = (targets[name][:, :used] for name in ("boxes", "kind", "crowd"))
        true = true.float()
        plain = (kind >= 0) & (crowd == 0) & (areas(true) > 0)
        left_out = (kind >= 0) & (crowd > 0)
        iou = overlaps(boxes, true, crowd == 1)
        of_plain = torch.where(plain[:, None], iou, -1)
        best, place = of_plain.max(2)
        belongs = best >= self.high
        if self.forced:
            most = of_plain.amax(1, keepdim=True)
            belongs |= ((of_plain == most) & (most > 0)).any(2)
        unclear = best >= self.low
        if left_out.any():
            unclear |= torch.where(left_out[:, None], iou, -1).amax(2) > WITHIN_CROWD
        return torch.where(belongs, place, torch.where(unclear, IGNORED, FREE))

    def draw(self, found: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
        """Draw from what `match` found, int64 [n, P] -> objects' and the background's, bool [n, P] each.

        Where there are fewer objects' than their share, there is more background. Without a key all pictures draw
        alike.
        """
        keys = targets["key"] if "key" in targets else found.new_zeros(len(found))
        positive = sampled(found >= 0, self.most, keys, 2 * self.stream)
        return positive, sampled(found == FREE, self.size - positive.sum(1), keys, 2 * self.stream + 1)

    def off(self, codes: Tensor, boxes: Tensor, found: Tensor, positive: Tensor, targets: Targets) -> Tensor:
        """Sum the loss of the codes [n, P, 4] of objects' boxes, of corners [n, P, 4] -> [n]."""
        place = found.clamp(min=0)[..., None].expand(-1, -1, 4)
        aims = torch.where(positive[..., None], targets["boxes"].float().gather(1, place), boxes)
        if self.giou is not None:
            said = cornered(decode(codes.float(), centred(boxes), self.variances))
            return torch.where(positive, self.giou * (1 - generalized(said, aims)), 0).sum(1)
        wanted = encode(centred(aims), _sized(centred(boxes)), self.variances)
        wanted = torch.where(positive[..., None], wanted, 0)
        off = functional.smooth_l1_loss(codes.float(), wanted, reduction="none", beta=self.beta).sum(2)
        return torch.where(positive, off, 0).sum(1)


RPN = Sampling(0.7, 0.3, True, 256, 0.5, (1.0, 1.0), 0)
"""Of anchors."""


def regions(size: int) -> Sampling:
    """Say how boxes of the second stage are drawn: 512 in a picture as published, a quarter of them objects'."""
    return Sampling(0.5, 0.5, False, size, 0.25, (0.1, 0.2), 1)


def chosen(rois: Tensor, there: Tensor, targets: Targets, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Choose what the second stage learns from: proposals [n, R, 4], bool [n, R] -> [n, size, 4] and bool [n, size].

    The objects themselves are among them, so that there are some from the first step on. Objects' boxes are the first.
    """
    plain = (targets["kind"] >= 0) & (targets["crowd"] == 0) & (areas(targets["boxes"].float()) > 0)
    rois, there = torch.cat([rois, targets["boxes"].float()], 1), torch.cat([there, plain], 1)
    found = torch.where(there, sampling.match(rois, targets), IGNORED)
    positive, negative = sampling.draw(found, targets)
    drawn, order = (2 * positive + negative.int()).sort(dim=1, descending=True, stable=True)
    drawn, order = drawn[:, : sampling.size], order[:, : sampling.size]
    lacking = sampling.size - drawn.shape[1]
    rois = functional.pad(rois.gather(1, order[..., None].expand(-1, -1, 4)), (0, 0, 0, lacking))
    return rois, functional.pad(drawn, (0, lacking)) > 0


def rpn_losses(heads: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
    """Sum each picture's loss of anchors, [n] each: `objectness`, binary cross-entropy, and `anchors`, of the codes."""
    anchors, logits = heads["anchors"], heads["objectness"].float()
    found = RPN.match(anchors[:1], targets)
    positive, negative = RPN.draw(found, targets)
    wrong = functional.binary_cross_entropy_with_logits(logits, positive.float(), reduction="none")
    return {
        "objectness": (wrong * (positive | negative)).sum(1),
        "anchors": RPN.off(heads["deltas"], anchors, found, positive, targets),
    }


class Drawn(NamedTuple):
    """What was drawn of a picture's boxes: [n, R] each.

    found: int64, the place of the object that each is of; positive: bool, whether it is drawn as an object's; kinds:
    int64, its class from 1 on, and 0 for the background
    """

    found: Tensor
    positive: Tensor
    kinds: Tensor


def region_losses(heads: Mapping[str, Tensor], targets: Targets, sampling: Sampling) -> tuple[dict[str, Tensor], Drawn]:
    """Sum each picture's loss of the second stage, [n] each: `classes`, cross-entropy, and `boxes`, of the codes.

    Of boxes that `chosen` chose all are drawn again; of a model's own proposals as many as in training. Codes are of
    one box for all classes, of a box of each class, or of the background's in front of these.
    """
    rois, scores = heads["rois"], heads["scores"].float()
    found = torch.where(heads["there"], sampling.match(rois, targets), IGNORED)
    positive, negative = sampling.draw(found, targets)
    kinds = torch.where(positive, targets["kind"].long().gather(1, found.clamp(min=0)) + 1, 0)
    wrong = functional.cross_entropy(scores.transpose(1, 2), kinds, reduction="none")
    codes = heads["codes"].unflatten(2, (-1, 4))
    number = {1: torch.zeros_like(kinds), scores.shape[2]: kinds}.get(codes.shape[2], (kinds - 1).clamp(min=0))
    of_kind = codes.gather(2, number[..., None, None].expand(-1, -1, 1, 4))[:, :, 0]
    parts = {
        "classes": (wrong * (positive | negative)).sum(1),
        "boxes": sampling.off(of_kind, rois, found, positive, targets),
    }
    return parts, Drawn(found, positive, kinds)


def mask_losses(logits: Tensor, rois: Tensor, drawn: Drawn, targets: Targets) -> Tensor:
    """Take the mean of the binary cross-entropy of each picture's masks over its objects' boxes, [n] (He et al. 2017,
    "Mask R-CNN", section 3).

    logits [n, R, 28, 28] of boxes [n, R, 4], each of its own class; targets have `layers` int [n, Q, H, W], in which a
    pixel has the place of its object, counted from 1. A picture counts once, however many boxes were drawn, so that
    what the loss is divided by follows from the targets.
    """
    aims = roi_masks(targets["layers"], rois, drawn.found + 1, logits.shape[-1])
    wrong = functional.binary_cross_entropy_with_logits(logits.float(), aims, reduction="none").mean((2, 3))
    return (wrong * drawn.positive).sum(1) / drawn.positive.sum(1).clamp(min=1)


def last_place(kind: Tensor) -> int:
    """Count the places up to the last that has an object in any picture, int [n, C]; at least 1, where C is."""
    (there,) = (kind >= 0).any(0).nonzero(as_tuple=True)
    return int(there[-1]) + 1 if len(there) else min(1, kind.shape[1])


def _sized(boxes: Tensor) -> Tensor:
    """Give centred boxes of no width or height one that can be divided by; none of these is an object's."""
    return torch.cat([boxes[..., :2], boxes[..., 2:].clamp(min=1e-6)], -1)
