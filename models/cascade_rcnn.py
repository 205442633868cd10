"""Cascade R-CNN (Cai & Vasconcelos 2018, "Cascade R-CNN: delving into high quality object detection"), with masks or
without, as mmdet 3.3.0 has it but for RoIAlign, which is torchvision's, and for the background, which is the first
class.

Each of three stages looks at the boxes of the one before and is trained with a higher IoU.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from models.ops.boxes import centred, clipped, cornered, decode
from models.rcnn import FasterRCNN
from models.rcnn_heads import MASK_SIDE, SIDE, HeadKind, Masks, Regions
from models.rcnn_loss import Sampling, chosen, region_losses, regions, rpn_losses
from models.ssd_loss import Targets

IOUS = (0.5, 0.6, 0.7)
VARIANCES = ((0.1, 0.2), (0.05, 0.1), (0.033, 0.067))
WEIGHTS = (1.0, 0.5, 0.25)
"""Of each stage: from which IoU on a box is an object's, what its codes are divided by, and how much its loss counts.
"""


class CascadeRCNN(FasterRCNN):
    """A `FasterRCNN` of three stages behind the proposals, whose `rois`, `there`, `scores` and `codes` are beside each
    other: [B, R, 3, ...]; and `masks` [B, M, 3, num_classes, 28, 28].

    Heads of kind `linear` tell one box for all classes and learn by the smooth L1 of its codes; those of kind `conv`
    one of each class, and learn by the generalised IoU, ten times as much, as Swin's and HorNet's releases have it.
    """

    samplings: tuple[Sampling, ...]

    def _stages(self, channels: int, hidden: int, head: HeadKind, enhanced: bool) -> tuple[nn.Module, nn.Module | None]:
        first = replace(regions(self.rois), beta=1.0, giou=10.0 if head == "conv" else None)
        self.samplings = tuple(
            replace(first, high=iou, low=iou, variances=variances, stream=1 + number)
            for number, (iou, variances) in enumerate(zip(IOUS, VARIANCES, strict=True))
        )
        self.sampling = self.samplings[0]
        boxes = self.num_classes if head == "conv" else 1
        roi = nn.ModuleList(Regions(channels, hidden, self.num_classes, boxes, head) for _ in IOUS)
        return roi, nn.ModuleList(Masks(channels, self.num_classes) for _ in IOUS) if self.masks else None

    def losses(self, heads: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Sum the parts of each picture's loss, over all stages, each as much as it counts."""
        total = rpn_losses(heads, targets)
        for number, (sampling, weight) in enumerate(zip(self.samplings, WEIGHTS, strict=True)):
            own: dict[str, Tensor] = {
                name: value[:, :, number] if name in ("rois", "there", "scores", "codes", "masks") else value
                for name, value in heads.items()
            }
            parts, drawn = region_losses(own, targets, sampling)
            if self.mask is not None:
                masks: Any = self.mask
                parts["masks"] = self._mask_loss(own, drawn, targets, masks[number])
            for name, part in parts.items():
                total[name] = total[name] + weight * part if name in total else weight * part
        return total

    def _boxes(self, heads: Mapping[str, Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Take boxes of the last stage, and the mean of all stages' logits."""
        codes = heads["codes"][:, :, -1].float().unflatten(2, (-1, 4))
        rois = centred(heads["rois"][:, :, -1])[:, :, None].expand_as(codes)
        boxes = clipped(cornered(decode(codes, rois, VARIANCES[-1])), size)
        scores = heads["scores"].float().mean(2).softmax(2)[..., 1:] * heads["there"][:, :, -1, None]
        return boxes[:, :, 0] if boxes.shape[2] == 1 else boxes, scores

    def _mask_of(self, pooled: Tensor, kind: Tensor) -> Tensor:
        """Take the mean of all stages."""
        masks: Any = self.mask
        return torch.stack([self._of_kind(mask(pooled), kind).sigmoid() for mask in masks]).mean(0)

    def _looked_at(
        self, maps: Sequence[Tensor], rois: Tensor, there: Tensor, size: tuple[int, int], targets: Targets | None
    ) -> dict[str, Tensor]:
        """Look at proposals three times: each stage but the first at the boxes of the one before."""
        stages: Any = self.roi
        found: list[dict[str, Tensor]] = []
        for number, sampling in enumerate(self.samplings):
            with torch.no_grad():
                if found:
                    rois, there = self._refined(found[-1], self.samplings[number - 1], size, targets)
                if targets is not None:
                    rois, there = chosen(rois, there, targets, sampling)
            scores, codes = stages[number](self._pooled(maps, rois, SIDE))
            heads = {"rois": rois, "there": there, "scores": scores, "codes": codes}
            if self.mask is not None and self.training:
                masks: Any = self.mask
                heads["masks"] = masks[number](self._pooled(maps, rois[:, : sampling.most], MASK_SIDE))
            found.append(heads)
        return {name: torch.stack([one[name] for one in found], 2) for name in found[0]}

    def _refined(
        self, heads: Mapping[str, Tensor], sampling: Sampling, size: tuple[int, int], targets: Targets | None
    ) -> tuple[Tensor, Tensor]:
        """Move boxes as a stage says: [n, R, 4] and bool [n, R]. In training the objects themselves are left out."""
        rois, there = heads["rois"], heads["there"]
        codes = heads["codes"].float().unflatten(2, (-1, 4))
        kind = heads["scores"][..., 1:].argmax(2)
        if targets is not None:
            found = sampling.match(rois, targets)
            kind = torch.where(found >= 0, targets["kind"].long().gather(1, found.clamp(min=0)), kind)
            own = (rois[:, :, None] == targets["boxes"].float()[:, None]).all(3) & (targets["kind"] >= 0)[:, None]
            there = there & ~own.any(2)
        place = (kind if codes.shape[2] > 1 else torch.zeros_like(kind))[..., None, None].expand(-1, -1, 1, 4)
        moved = cornered(decode(codes.gather(2, place)[:, :, 0], centred(rois), sampling.variances))
        return clipped(moved, size) * there[..., None], there
