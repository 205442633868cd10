"""U-Net++ (Zhou et al. 2018, "UNet++: a nested U-Net architecture for medical image segmentation").

3x3 convolutions keep the size and have no bias but a batch norm behind them, as in the U-Net that most people use.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.recompute import recomputed
from models.segmenter import conv_bn_relu

LEVELS = 5


class UNetPlusPlus(nn.Module):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W], of any size from 16 px on.

    Node j of level i (figure 1, a) sees all nodes before it in its level, and the one before it in the level below,
    enlarged. With `deep_supervision` the nodes 1 to 4 of the first level give logits, whose mean is the answer (the
    accurate mode of section 3.2); training gives it, and behind it those four.
    """

    margin_px = 0

    def __init__(
        self,
        *,
        num_classes: int,
        width: int,
        in_channels: int,
        upsample: Literal["deconv", "bilinear"],
        deep_supervision: bool,
        gradient_checkpointing: bool,
    ) -> None:
        super().__init__()
        self.gradient_checkpointing = gradient_checkpointing
        self.deconvolves = upsample == "deconv"
        channels = [width * 2**level for level in range(LEVELS)]
        self.nodes, self.ups = nn.ModuleDict(), nn.ModuleDict()
        for j in range(LEVELS):
            for i in range(LEVELS - j):
                if j == 0:
                    before = channels[i - 1] if i else in_channels
                else:
                    before = (j + (1 if self.deconvolves else 2)) * channels[i]  # twice as many where not halved
                    if self.deconvolves:
                        self.ups[f"{i}_{j}"] = nn.ConvTranspose2d(channels[i + 1], channels[i], 2, stride=2)
                self.nodes[f"{i}_{j}"] = nn.Sequential(
                    *conv_bn_relu(before, channels[i], 3), *conv_bn_relu(channels[i], channels[i], 3)
                )
        supervised = range(1, LEVELS) if deep_supervision else (LEVELS - 1,)
        self.heads = nn.ModuleDict({str(j): nn.Conv2d(width, num_classes, 1) for j in supervised})
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Float [B, in_channels, H, W] -> logits [B, num_classes, H, W]; five in training with `deep_supervision`."""
        rows: list[list[Tensor]] = []  # of each level, its nodes
        for level in range(LEVELS):
            rows.append([self._node(level, 0, functional.max_pool2d(rows[-1][0], 2) if level else x)])
            for j in range(1, level + 1):
                i = level - j
                seen = torch.cat([*rows[i], self._enlarged(i, j, rows[i + 1][j - 1], rows[i][0])], 1)
                rows[i].append(self._node(i, j, seen))
        every = [head(rows[0][int(j)]) for j, head in self.heads.items()]
        if len(every) == 1:
            return every[0]
        mean = torch.stack(every).mean(0)
        return (mean, *every) if self.training else mean

    def _node(self, i: int, j: int, x: Tensor) -> Tensor:
        block = self.nodes[f"{i}_{j}"]
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            return recomputed(block, block, x)
        return block(x)

    def _enlarged(self, i: int, j: int, x: Tensor, like: Tensor) -> Tensor:
        """Bring the map below to the size of its level; an odd size has a row or column more."""
        if not self.deconvolves:
            return functional.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=True)
        x = self.ups[f"{i}_{j}"](x)
        return functional.pad(x, (0, like.shape[3] - x.shape[3], 0, like.shape[2] - x.shape[2]))
