"""TSN (Wang et al. 2016, "Temporal segment networks"): an image network on every frame, the frames' logits averaged.

Parameters are named as in the release of TSM, whose TSN this is: `base_model.*` and `new_fc.*`. Its two additions that
need no shift stand here too: temporal pooling and non-local blocks.
"""

from collections.abc import Callable
from typing import Any, Self

import torch.nn.functional as F
from torch import Tensor, nn

from models.bn_inception import BNInception
from models.mobilenet import InvertedResidual, MobileNetV2Backbone
from models.non_local import WithNonLocal, add_non_local
from models.recompute import recomputed
from models.resnet import Backbone, BasicBlock, Bottleneck
from models.shift import TemporalShift
from pipeline.base.errors import ZoetropeError


class TSN(nn.Module):
    """A video classifier: float [B, C, T, H, W] -> logits [B, num_classes]; T is free, and may differ between calls.

    C is 3 for RGB, 10 for five optical flow fields. `partial_bn` freezes every batch norm of the backbone but the
    first (the paper, section 3.2): for fine-tuning on little data.
    """

    def __init__(
        self,
        backbone: Backbone | MobileNetV2Backbone | BNInception,
        *,
        num_classes: int,
        dropout: float,
        partial_bn: bool,
        temporal_pool: bool = False,
        non_local: bool = False,
    ) -> None:
        super().__init__()
        self.base_model = backbone
        if non_local and isinstance(backbone, Backbone):
            add_non_local(backbone)
        self.dropout = nn.Dropout(dropout)
        self.new_fc = nn.Linear(backbone.num_features, num_classes)
        nn.init.normal_(self.new_fc.weight, std=0.001)
        nn.init.zeros_(self.new_fc.bias)
        self.temporal_pool = temporal_pool
        self.partial_bn = partial_bn
        if partial_bn:
            for norm in self._frozen_norms():
                norm.requires_grad_(False)

    def frame_features(self, x: Tensor) -> Tensor:
        """Map float [B, C, T, H, W] -> [B, T, num_features]; [B, ceil(T/2), num_features] with temporal pooling."""
        channels = self.base_model.in_channels
        if x.dim() != 5 or x.shape[1] != channels:
            raise ZoetropeError(
                f"{type(self).__name__} takes clips [B, {channels}, T, H, W], got the shape {tuple(x.shape)}"
            )
        # A view, and already channels-last, when the clip was made of frames [B, T, H, W, C]; else one copy.
        frames = x.transpose(1, 2).flatten(0, 1)
        return self.run_backbone(frames, num_frames=x.shape[2]).unflatten(0, (x.shape[0], -1))

    def run_backbone(self, frames: Tensor, num_frames: int) -> Tensor:
        """Map float [B*T, C, H, W] -> [B*T, num_features]; blocks are walked here because some need to know T."""
        x = self.base_model.stem(frames)
        stages: Any = self.base_model.stages
        for i, stage in enumerate(stages):
            if i == 1 and self.temporal_pool:
                x, num_frames = _pool_frames(x, num_frames)
            for block in stage:
                if isinstance(self.base_model, Backbone) and self.base_model.recomputes:
                    x = recomputed(block, run_block, block, x, num_frames)
                else:
                    x = run_block(block, x, num_frames)
        return self.base_model.pooled(x)

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, C, T, H, W] -> [B, num_features], averaged over the frames."""
        return self.frame_features(x).mean(1)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, C, T, H, W] -> logits [B, num_classes].

        Dropout is drawn for each frame. The average is taken before the head, which gives the average of the frames'
        logits because the head is linear, at 1/T of its work.
        """
        return self.new_fc(self.dropout(self.frame_features(x)).mean(1))

    def train(self, mode: bool = True) -> Self:
        """Set the mode as torch does, but frozen batch norms keep their statistics."""
        super().train(mode)
        if self.partial_bn:
            for norm in self._frozen_norms():
                norm.eval()
        return self

    def _frozen_norms(self) -> list[nn.BatchNorm2d]:
        """Return all batch norms of the image network but the first.

        Those of non-local blocks are new, and have to learn.
        """
        return [module for module in self.base_model.modules() if isinstance(module, nn.BatchNorm2d)][1:]


RunShift = Callable[[TemporalShift, Tensor], Tensor]


def run_block(block: nn.Module, x: Tensor, num_frames: int, run_shift: RunShift | None = None) -> Tensor:
    """Run one residual block on [B*T, C, H, W], its shift if it has one run by `run_shift`
    (by default over the clip).
    """
    shift: Any = run_shift or (lambda module, x: module(x, num_frames))
    if isinstance(block, WithNonLocal):
        return block.nl(run_block(block.block, x, num_frames, run_shift), num_frames)
    if isinstance(block, TemporalShift):
        return shift(block, x)
    if isinstance(block, BasicBlock | Bottleneck) and isinstance(block.conv1, TemporalShift):
        return block.after_conv1(x, shift(block.conv1, x))
    if isinstance(block, InvertedResidual) and isinstance(block.conv[0], TemporalShift):
        return block.after_first(x, shift(block.conv[0], x))
    return block(x)


def _pool_frames(x: Tensor, num_frames: int) -> tuple[Tensor, int]:
    """Pool by the maximum over 3 frames with stride 2: [B*T, C, H, W] -> [B*ceil(T/2), C, H, W] and ceil(T/2)."""
    clips = x.unflatten(0, (-1, num_frames)).transpose(1, 2)
    clips = F.max_pool3d(clips, kernel_size=(3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))
    return clips.transpose(1, 2).flatten(0, 1), clips.shape[2]
