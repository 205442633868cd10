"""TSM (Lin et al. 2019, "TSM: temporal shift module for efficient video understanding"): TSN with shifted blocks.

It has TSN's parameters and arithmetic, and sees motion. Names of parameters are those of the official release.
"""

from typing import Any, Literal

from models.mobilenet import InvertedResidual, MobileNetV2Backbone
from models.resnet import Backbone, BasicBlock, Bottleneck
from models.shift import TemporalShift
from models.shift_moves import Direction
from models.tsn import TSN

Place = Literal["blockres", "block"]


class TSM(TSN):
    """A video classifier: float [B, C, T, H, W] -> logits [B, num_classes]; T is free, and may differ between calls."""

    def __init__(
        self,
        backbone: Backbone | MobileNetV2Backbone,
        *,
        shift: int,
        place: Place,
        direction: Direction,
        **others: Any,
    ) -> None:
        # First the shifts, then TSN's non-local blocks: the release names parameters from the outside in.
        place_shifts(backbone, shift, place, direction)
        super().__init__(backbone, **others)
        self.direction: Direction = direction


def place_shifts(
    backbone: Backbone | MobileNetV2Backbone, divisor: int, place: Place, direction: Direction = "both"
) -> None:
    """Put shifts into `backbone`, in place.

    "block" (the paper's in-place TSM) shifts the input of whole blocks, their identity path too. "blockres" (the
    paper's residual TSM) shifts only what their first convolution sees. A ResNet has shifts in every block; in every
    other one when the third stage has 23 blocks or more (ResNet-101) and the place is "blockres", as the official
    release does. MobileNetV2 has them in its ten blocks with an identity path.
    """
    sequences = (backbone.features,) if isinstance(backbone, MobileNetV2Backbone) else backbone.stages
    every = 2 if place == "blockres" and isinstance(backbone, Backbone) and len(backbone.layer3) >= 23 else 1
    for blocks in sequences:
        for i in range(0, len(blocks), every):
            block = blocks[i]
            if isinstance(block, InvertedResidual) and not (block.has_identity and block.expands):
                continue
            if not isinstance(block, BasicBlock | Bottleneck | InvertedResidual):
                continue
            if place == "block":
                blocks[i] = TemporalShift(block, divisor, direction)
            elif isinstance(block, InvertedResidual):
                block.conv[0] = TemporalShift(block.conv[0], divisor, direction)
            else:
                block.conv1 = TemporalShift(block.conv1, divisor, direction)
