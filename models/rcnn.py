"""Faster R-CNN (Ren et al. 2015) on a feature pyramid (Lin et al. 2017, "FPN"), and Mask R-CNN (He et al. 2017), as
torchvision has them.

A region proposal network says where objects may be; a second stage looks at these places again, and perhaps a third
time for the masks of what it found.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.fpn import FILTER_SIZE, FPN, gated
from models.norms import Norm, normed
from models.ops.anchors import anchors
from models.ops.boxes import centred, clipped, cornered, decode
from models.ops.detections import detections
from models.ops.nms import staying
from models.ops.roi_align import levels, roi_align
from models.rcnn_heads import MASK_SIDE, SIDE, HeadKind, Masks, NormedConv, RegionProposals, Regions
from models.rcnn_loss import RPN, Drawn, chosen, mask_losses, region_losses, regions, rpn_losses
from models.ssd_loss import Targets

STRIDES = (4, 8, 16, 32)
"""Of the maps that boxes are pooled from; anchors have one level more, by a max pool."""
OVERLAP = 0.7
"""Of proposals of one level with a larger IoU, the better one stays."""
LEAST_PX = 1e-3
"""A proposal less wide or high is none."""

Pyramid = Literal["fpn", "horfpn", "horfpn_gf"]


class Maps(Protocol):
    """A backbone that gives maps of `STRIDES`, or of those it says, finest first."""

    channels: list[int]

    def maps(self, x: Tensor) -> list[Tensor]:
        """Float [B, in_channels, H, W] -> [B, channels[i], ...]."""


class FasterRCNN(nn.Module):
    """A detector of two stages: float [B, in_channels, H, W] -> its heads, by name.

    The first stage's are `objectness`, logits [B, P], `deltas` [B, P, 4], and `anchors` [B, P, 4], corners in px; the
    second's `rois` [B, R, 4], corners in px of what was looked at, `there` bool [B, R], whether it is a proposal,
    `scores`, logits [B, R, num_classes + 1], whose first column is the background, and `codes`
    [B, R, 4 (num_classes + 1)]. Where it has masks there are in training `masks`, logits [B, M, num_classes + 1, 28,
    28] of the first `rois`, and else the maps that they are made of, `map0` to `map3`.

    In training it takes the targets, of which the second stage's boxes are chosen; see `rcnn_loss`. Pictures are filled
    up with zeros on the right and below to a multiple of 32 px, in which no object is looked for.

    proposals: how many are kept in training, and else; of a level, and of all
    rois: of a picture that the second stage learns from
    head: what is in front of classes and boxes
    enhanced: torchvision's second version has two convolutions in front of the proposals, and batch norms in the
        pyramid and in front of the masks
    """

    takes_targets = True

    def __init__(
        self,
        backbone: Maps,
        *,
        num_classes: int,
        channels: int,
        hidden: int,
        fpn: Pyramid,
        norm: Norm,
        norm_eps: float,
        anchor_px: Sequence[float],
        proposals: tuple[int, int],
        rois: int,
        masks: bool = False,
        head: HeadKind = "linear",
        enhanced: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes, self.proposals, self.anchor_px = num_classes, proposals, tuple(anchor_px)
        self.rois, self.masks = rois, masks
        assert isinstance(backbone, nn.Module)
        self.strides = tuple(getattr(backbone, "strides", STRIDES))
        self.backbone: Any = normed(backbone, norm, norm_eps)
        plain = NormedConv if enhanced else _conv
        other = partial(gated, filter_size=FILTER_SIZE if fpn == "horfpn_gf" else None)
        output = partial(plain, kernel_size=3) if fpn == "fpn" else other
        lateral = partial(plain, kernel_size=1)
        self.fpn = FPN(backbone.channels, channels, lateral=lateral, output=output, mode="nearest")
        for layer in (*self.fpn.laterals, *self.fpn.outputs):
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, a=1)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        self.rpn = RegionProposals(channels, 2 if enhanced else 1)
        self.roi, self.mask = self._stages(channels, hidden, head, enhanced)

    def _stages(self, channels: int, hidden: int, head: HeadKind, enhanced: bool) -> tuple[nn.Module, nn.Module | None]:
        """Make what looks at boxes, and what looks for masks in them."""
        self.sampling = regions(self.rois)
        outputs = self.num_classes + 1
        masks = Masks(channels, outputs, enhanced) if self.masks else None
        return Regions(channels, hidden, self.num_classes, outputs, head), masks

    def forward(self, x: Tensor, targets: Targets | None = None) -> dict[str, Tensor]:
        """Float [B, in_channels, H, W] -> heads; with targets, of the boxes that the second stage learns from."""
        height, width = x.shape[2:]
        x = functional.pad(x, (0, -width % 32, 0, -height % 32))
        maps = self.fpn(self.backbone.maps(x))
        every = [*maps, functional.max_pool2d(maps[-1], 1, 2)]
        found = self.rpn(every)
        places = [(one.shape[2], one.shape[3]) for one in every]
        priors = anchors(places, (x.shape[2], x.shape[3]), self.anchor_px, x.device)
        with torch.no_grad():
            rois, there = self._proposals(found, priors, (height, width))
        objectness, deltas = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        heads = {"objectness": objectness, "deltas": deltas, "anchors": priors.expand(x.shape[0], -1, -1)}
        heads |= self._looked_at(maps, rois, there, (height, width), targets)
        if self.masks and not self.training:
            heads |= {f"map{i}": one for i, one in enumerate(maps)}
        return heads

    def counts(self, targets: Targets, size: tuple[int, int]) -> dict[str, Tensor]:
        """Count what each part of the loss is divided by: as many boxes of each picture as are to be drawn.

        Masks count for a picture, where it has objects: see `mask_losses`.
        """
        boxes = targets["boxes"]
        first, second = (boxes.new_full((len(boxes),), float(size)) for size in (RPN.size, self.rois))
        counts = {"objectness": first, "anchors": first, "classes": second, "boxes": second}
        if self.masks:
            counts["masks"] = ((targets["kind"] >= 0) & (targets["crowd"] == 0)).any(1).to(boxes.dtype)
        return counts

    def losses(self, heads: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Sum the parts of each picture's loss, see `rcnn_loss`, which has the targets."""
        parts, drawn = region_losses(heads, targets, self.sampling)
        if self.masks:
            parts["masks"] = self._mask_loss(heads, drawn, targets, self.mask)
        return rpn_losses(heads, targets) | parts

    def decode(
        self,
        heads: Mapping[str, Tensor],
        size: tuple[int, int],
        most: int,
        threshold: float = 0.05,
        overlap: float = 0.5,
    ) -> dict[str, Tensor]:
        """Find objects of pictures of `size` (H, W) px: see `detections`. Boxes are corners in px.

        `masks` float [n, most, 28, 28] say how sure each place of a box is its object's.
        """
        found = detections(*self._boxes(heads, size), most, threshold, overlap)
        if not self.masks:
            return found
        maps = [heads[f"map{i}"] for i in range(len(self.strides))]
        used = most if torch.compiler.is_exporting() else max(1, int((found["score"] > 0).sum(1).max()))
        pooled = self._pooled(maps, found["boxes"][:, :used], MASK_SIDE)
        kind = found["kind"][:, :used].clamp(min=0)
        said = self._mask_of(pooled, kind) * (found["score"][:, :used, None, None] > 0)
        return found | {"masks": functional.pad(said, (0, 0, 0, 0, 0, most - used))}

    def _boxes(self, heads: Mapping[str, Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return corners [n, R, num_classes, 4] and scores [n, R, num_classes] of what was looked at."""
        codes = heads["codes"].float().unflatten(2, (-1, 4))[:, :, 1:]
        rois = centred(heads["rois"])[:, :, None].expand_as(codes)
        boxes = clipped(cornered(decode(codes, rois, self.sampling.variances)), size)
        return boxes, heads["scores"].float().softmax(2)[..., 1:] * heads["there"][..., None]

    def _mask_of(self, pooled: Tensor, kind: Tensor) -> Tensor:
        """Say the masks of boxes of a kind [n, R]: [n, R, C, 14, 14] -> [n, R, 28, 28]."""
        assert self.mask is not None
        return self._of_kind(self.mask(pooled), kind).sigmoid()

    def _looked_at(
        self, maps: Sequence[Tensor], rois: Tensor, there: Tensor, size: tuple[int, int], targets: Targets | None
    ) -> dict[str, Tensor]:
        """Look at proposals [n, R, 4], bool [n, R] again: the second stage's heads."""
        with torch.no_grad():
            if targets is not None:
                rois, there = chosen(rois, there, targets, self.sampling)
        scores, codes = self.roi(self._pooled(maps, rois, SIDE))
        heads = {"rois": rois, "there": there, "scores": scores, "codes": codes}
        if self.mask is not None and self.training:
            heads["masks"] = self.mask(self._pooled(maps, rois[:, : self.sampling.most], MASK_SIDE))
        return heads

    def _mask_loss(self, heads: Mapping[str, Tensor], drawn: Drawn, targets: Targets, mask: nn.Module | None) -> Tensor:
        """Sum the loss of masks of each picture's objects, float [n]; of heads that have none they are made here."""
        order = drawn.positive.int().argsort(dim=1, descending=True, stable=True)[:, : self.sampling.most]
        rois = heads["rois"].gather(1, order[..., None].expand(-1, -1, 4))
        drawn = Drawn(*(one.gather(1, order) for one in drawn))
        if "masks" in heads:  # of boxes of which the objects' are the first
            logits = heads["masks"]
        else:
            assert mask is not None
            logits = mask(self._pooled([heads[f"map{i}"] for i in range(len(self.strides))], rois, MASK_SIDE))
        said = self._of_kind(logits, (drawn.kinds - 1).clamp(min=0))
        return mask_losses(said, rois, drawn, targets)

    def _of_kind(self, masks: Tensor, kind: Tensor) -> Tensor:
        """Pick the mask of each box's kind [n, R]: [n, R, outputs, h, w] -> [n, R, h, w]; the last are classes'."""
        place = (kind + masks.shape[2] - self.num_classes)[..., None, None, None]
        return masks.gather(2, place.expand(-1, -1, 1, *masks.shape[3:]))[:, :, 0]

    def _pooled(self, maps: Sequence[Tensor], boxes: Tensor, side: int) -> Tensor:
        """Pool what is in boxes [n, R, 4] from the level that each belongs to: [n, R, channels, side, side]."""
        boxes = boxes.nan_to_num(0.0)  # of a training that diverges: its loss tells, not a place that there is not
        level = levels(boxes * (STRIDES[0] / self.strides[0]), coarsest=5)
        return roi_align(maps, self.strides, boxes, level, side)

    def _proposals(
        self, found: Sequence[tuple[Tensor, Tensor]], priors: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Keep the best of each level that do not overlap, and of these the best: [n, R, 4], bool [n, R]."""
        most = self.proposals[not self.training]
        boxes, scores = [], []
        for (logits, deltas), own in zip(found, priors.split([one.shape[1] for one, _ in found]), strict=True):
            ranked, order = logits.float().sort(dim=1, descending=True, stable=True)
            ranked, order = ranked[:, :most], order[:, :most, None].expand(-1, -1, 4)
            around = centred(own).expand(logits.shape[0], -1, -1).gather(1, order)
            box = clipped(cornered(decode(deltas.float().gather(1, order), around, RPN.variances)), size)
            large = (box[..., 2:] - box[..., :2] >= LEAST_PX).all(2)
            score = torch.where(large, ranked.sigmoid(), 0)
            boxes.append(box)
            scores.append(torch.where(staying(box, score, OVERLAP, 0.0), score, 0))
        best, order = torch.cat(scores, 1).sort(dim=1, descending=True, stable=True)
        best, order = best[:, :most], order[:, :most]
        there = best > 0
        return torch.cat(boxes, 1).gather(1, order[..., None].expand(-1, -1, 4)) * there[..., None], there


def _conv(in_channels: int, channels: int, kernel_size: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2)
