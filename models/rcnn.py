"""Faster R-CNN (Ren et al. 2015) on a feature pyramid (Lin et al. 2017, "FPN"), as torchvision has it.

A region proposal network says where objects may be; a second stage looks at these places again.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.fpn import FILTER_SIZE, FPN, gated
from models.norms import Norm, normed
from models.ops.anchors import RATIOS, anchors
from models.ops.boxes import centred, clipped, cornered, decode
from models.ops.detections import detections
from models.ops.nms import staying
from models.ops.roi_align import levels, roi_align
from models.rcnn_loss import RPN, chosen, region_losses, regions, rpn_losses
from models.ssd_loss import Targets

STRIDES = (4, 8, 16, 32)
"""Of the maps that boxes are pooled from; anchors have one level more, by a max pool."""
SIDE = 7
"""Places of what is pooled from a box."""
OVERLAP = 0.7
"""Of proposals of one level with a larger IoU, the better one stays."""
LEAST_PX = 1e-3
"""A proposal less wide or high is none."""

Pyramid = Literal["fpn", "horfpn", "horfpn_gf"]


class Maps(Protocol):
    """A backbone that gives maps of `STRIDES`, finest first."""

    channels: list[int]

    def maps(self, x: Tensor) -> list[Tensor]:
        """Float [B, in_channels, H, W] -> [B, channels[i], ...]."""


class RegionProposals(nn.Module):
    """Say of each anchor whether it is an object's, and how far off it is (Ren et al. 2015, section 3.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, len(RATIOS), 1)
        self.deltas = nn.Conv2d(channels, 4 * len(RATIOS), 1)
        for layer in (self.conv, self.objectness, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, maps: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Maps [B, channels, h, w] -> of each logits [B, 3 h w] and codes [B, 3 h w, 4], place after place."""
        found = []
        for one in maps:
            x = self.conv(one).relu()
            deltas = self.deltas(x).permute(0, 2, 3, 1).reshape(len(one), -1, 4)
            found.append((self.objectness(x).permute(0, 2, 3, 1).flatten(1), deltas))
        return found


class Regions(nn.Module):
    """Two linear layers on what is pooled, and what tells classes and boxes, a box for each class."""

    def __init__(self, channels: int, hidden: int, num_classes: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(channels * SIDE**2, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.scores = nn.Linear(hidden, num_classes + 1)
        self.codes = nn.Linear(hidden, 4 * (num_classes + 1))

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Float [n, R, channels, 7, 7] -> logits [n, R, num_classes + 1] and codes [n, R, 4 (num_classes + 1)]."""
        x = pooled.flatten(2).to(self.fc6.weight.dtype)
        x = self.fc7(self.fc6(x).relu()).relu()
        return self.scores(x), self.codes(x)


class FasterRCNN(nn.Module):
    """A detector of two stages: float [B, in_channels, H, W] -> its heads, by name.

    The first stage's are `objectness`, logits [B, P], `deltas` [B, P, 4], and `anchors` [B, P, 4], corners in px; the
    second's `rois` [B, R, 4], corners in px of what was looked at, `there` bool [B, R], whether it is a proposal,
    `scores`, logits [B, R, num_classes + 1], whose first column is the background, and `codes`
    [B, R, 4 (num_classes + 1)].

    In training it takes the targets, of which the second stage's boxes are chosen; see `rcnn_loss`. Pictures are filled
    up with zeros on the right and below to a multiple of 32 px, in which no object is looked for.

    proposals: how many are kept in training, and else; of a level, and of all
    rois: of a picture that the second stage learns from
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
    ) -> None:
        super().__init__()
        self.num_classes, self.proposals, self.anchor_px = num_classes, proposals, tuple(anchor_px)
        self.sampling = regions(rois)
        assert isinstance(backbone, nn.Module)
        self.backbone: Any = normed(backbone, norm, norm_eps)
        plain = partial(nn.Conv2d, kernel_size=3, padding=1)
        other = partial(gated, filter_size=FILTER_SIZE if fpn == "horfpn_gf" else None)
        lateral = partial(nn.Conv2d, kernel_size=1)
        output = plain if fpn == "fpn" else other
        self.fpn = FPN(backbone.channels, channels, lateral=lateral, output=output, mode="nearest")
        for layer in (*self.fpn.laterals, *self.fpn.outputs):
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_uniform_(layer.weight, a=1)
                nn.init.zeros_(layer.bias)
        self.rpn = RegionProposals(channels)
        self.roi = Regions(channels, hidden, num_classes)

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
            if targets is not None:
                rois, there = chosen(rois, there, targets, self.sampling)
            level = levels(rois, coarsest=5)
        scores, codes = self.roi(roi_align(maps, STRIDES, rois, level, SIDE))
        objectness, deltas = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        return {
            "objectness": objectness,
            "deltas": deltas,
            "anchors": priors.expand(len(x), -1, -1),
            "rois": rois,
            "there": there,
            "scores": scores,
            "codes": codes,
        }

    def counts(self, targets: Targets, size: tuple[int, int]) -> dict[str, Tensor]:
        """Count what each part of the loss is divided by: as many boxes of each picture as are to be drawn."""
        first, second = (targets["boxes"].new_full((len(targets["kind"]),), one.size) for one in (RPN, self.sampling))
        return {"objectness": first, "anchors": first, "classes": second, "boxes": second}

    def losses(self, heads: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Sum the parts of each picture's loss, see `rcnn_loss`, which has the targets."""
        return rpn_losses(heads, targets) | region_losses(heads, targets, self.sampling)

    def decode(
        self,
        heads: Mapping[str, Tensor],
        size: tuple[int, int],
        most: int,
        threshold: float = 0.05,
        overlap: float = 0.5,
    ) -> dict[str, Tensor]:
        """Find objects of pictures of `size` (H, W) px: see `detections`. Boxes are corners in px."""
        codes = heads["codes"].float().unflatten(2, (-1, 4))[:, :, 1:]
        rois = centred(heads["rois"])[:, :, None].expand_as(codes)
        boxes = clipped(cornered(decode(codes, rois, self.sampling.variances)), size)
        scores = heads["scores"].float().softmax(2)[..., 1:] * heads["there"][..., None]
        return detections(boxes, scores, most, threshold, overlap)

    def _proposals(
        self, found: Sequence[tuple[Tensor, Tensor]], priors: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Keep the best of each level that do not overlap, and of these the best: [n, R, 4], bool [n, R]."""
        most = self.proposals[not self.training]
        boxes, scores = [], []
        for (logits, deltas), own in zip(found, priors.split([one.shape[1] for one, _ in found]), strict=True):
            ranked, order = logits.float().sort(dim=1, descending=True, stable=True)
            ranked, order = ranked[:, :most], order[:, :most, None].expand(-1, -1, 4)
            around = centred(own).expand(len(logits), -1, -1).gather(1, order)
            box = clipped(cornered(decode(deltas.float().gather(1, order), around, RPN.variances)), size)
            large = (box[..., 2:] - box[..., :2] >= LEAST_PX).all(2)
            score = torch.where(large, ranked.sigmoid(), 0)
            boxes.append(box)
            scores.append(torch.where(staying(box, score, OVERLAP, 0.0), score, 0))
        best, order = torch.cat(scores, 1).sort(dim=1, descending=True, stable=True)
        best, order = best[:, :most], order[:, :most]
        there = best > 0
        return torch.cat(boxes, 1).gather(1, order[..., None].expand(-1, -1, 4)) * there[..., None], there
