"""Swin's patch merging in OpenMMLab's order: its `nn.Unfold` has the four places of a channel together, and Swin the
channels of a place.
"""

import re

from torch import Tensor

_MERGING = re.compile(r"(^|\.)stages\.\d\.downsample\.(norm|reduction)\.")
"""The names of such layers in mmsegmentation, mmdetection and mmpretrain; no other layout has them."""


def in_swins_order(name: str, tensor: Tensor) -> Tensor:
    """Bring a merging's weights [..., 4 C] from the order [C, row, column] to ours, [column, row, C].

    Tensors of other names stay, and so do those that have no four places.
    """
    if not _MERGING.search(name) or not tensor.dim() or tensor.shape[-1] % 4:
        return tensor
    return tensor.unflatten(-1, (-1, 2, 2)).movedim(-3, -1).transpose(-3, -2).flatten(-3)
