"""TSM (Lin et al. 2019, "TSM: temporal shift module for efficient video understanding"): TSN with shifted blocks.

It has TSN's parameters and arithmetic, and sees motion. Names of parameters are those of the official release.
"""

from typing import Literal

from torch import Tensor, nn

from models.resnet import Backbone, BasicBlock, Bottleneck
from models.shift import TemporalShift
from models.tsn import TSN


class TSM(TSN):
    """A video classifier: float [B, 3, T, H, W] -> logits [B, num_classes]; T is free, and may differ between calls."""

    def __init__(
        self,
        depth: int,
        *,
        num_classes: int,
        width: int,
        dropout: float,
        stem: Literal["imagenet", "small"],
        zero_init_residual: bool,
        shift: int,
        place: Literal["blockres", "block"],
    ) -> None:
        super().__init__(
            depth,
            num_classes=num_classes,
            width=width,
            dropout=dropout,
            stem=stem,
            zero_init_residual=zero_init_residual,
        )
        place_shifts(self.base_model, shift, place)

    def run_backbone(self, frames: Tensor, num_frames: int) -> Tensor:
        """Float [B*T, 3, H, W] -> [B*T, num_features]; blocks are walked here because shifts need to know T."""
        x = self.base_model.stem(frames)
        for stage in self.base_model.stages:
            for block in stage:
                x = _run_block(block, x, num_frames)
        return x.mean((2, 3))


def place_shifts(backbone: Backbone, divisor: int, place: Literal["blockres", "block"]) -> None:
    """Put shifts into `backbone`, in place.

    "block" (the paper's in-place TSM) shifts the input of every whole block, its identity path too. "blockres" (the
    paper's residual TSM) shifts only what conv1 sees, in every block; in every other one when the third stage has 23
    blocks or more (ResNet-101), as the official release does.
    """
    every = 2 if place == "blockres" and len(backbone.layer3) >= 23 else 1
    for stage in backbone.stages:
        for i in range(0, len(stage), every):
            block = stage[i]
            if place == "block":
                stage[i] = TemporalShift(block, divisor)
            elif isinstance(block, BasicBlock | Bottleneck):
                block.conv1 = TemporalShift(block.conv1, divisor)


def _run_block(block: nn.Module, x: Tensor, num_frames: int) -> Tensor:
    if isinstance(block, TemporalShift):
        return block(x, num_frames)
    if isinstance(block, BasicBlock | Bottleneck) and isinstance(block.conv1, TemporalShift):
        return block.after_conv1(x, block.conv1(x, num_frames))
    return block(x)
