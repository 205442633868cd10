"""PSPNet (Zhao et al. 2017, "Pyramid scene parsing network"), as its authors' hszhao/semseg has it.

`variant: yassouali` is pytorch-segmentation's: the auxiliary head is as wide as the other one, the first block of a
stage dilates less, and logits are enlarged by their outer corners.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.resnet import Backbone
from models.segmenter import Segmenter, conv_bn_relu, conv_head, enlarged
from models.traced import is_traced

BINS = (1, 2, 3, 6)


class PyramidPooling(nn.Module):
    """Pyramid pooling (section 3.2): [B, in_channels, H, W] -> [B, in_channels + len(bins) * channels, H, W].

    Behind the map itself, its means over 1, 2 x 2, 3 x 3 and 6 x 6 parts, each through a 1x1 convolution and enlarged.
    `channels` are in_channels / len(bins) unless they are said.
    """

    def __init__(
        self, in_channels: int, channels: int = 0, bins: tuple[int, ...] = BINS, align_corners: bool = True
    ) -> None:
        super().__init__()
        self.bins = bins
        self.align_corners = align_corners
        self.levels = nn.ModuleList([conv_bn_relu(in_channels, channels or in_channels // len(bins), 1) for _ in bins])

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, in_channels + len(bins) * channels, H, W]."""
        means = [level(pooled(x, bins)) for bins, level in zip(self.bins, self.levels, strict=True)]
        return torch.cat([x, *(enlarged(mean, x, self.align_corners) for mean in means)], 1)


def pooled(x: Tensor, bins: int) -> Tensor:
    """Take the means over bins x bins parts of a map, which overlap by a row where it cannot be cut evenly.

    [B, C, H, W] -> [B, C, bins, bins]. An exporter writes torch's own operator for ONNX as it is for one size, and is
    wrong at others; so a graph gets the product by two matrices.
    """
    if not is_traced():
        return functional.adaptive_avg_pool2d(x, bins)
    rows, columns = (_shares(side, bins, x) for side in x.shape[2:])
    return rows @ x @ columns.T


def _shares(side: int, bins: int, like: Tensor) -> Tensor:
    """[bins, side]: what each place adds to the mean of each part, of the type and device of `like`."""
    place = torch.arange(side, device=like.device)
    part = torch.arange(bins, device=like.device)[:, None]
    inside = (place >= part * side // bins) & (place < ((part + 1) * side + bins - 1) // bins)
    return inside.to(like.dtype) / inside.sum(1, keepdim=True)


class PSPNet(Segmenter):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W], of any size.

    The authors take sides of 8 n + 1 px (473, 713), where a place of the last map lies on every eighth pixel; of other
    sizes the corners of both still meet. With `auxiliary_head`, training gives two of these: the pyramid's, and those
    of the head on the third stage. The mean of a map is one value a channel, whose batch norm needs two samples or
    more in training.
    """

    def __init__(
        self,
        depth: int,
        *,
        num_classes: int,
        variant: Literal["semseg", "yassouali"],
        dropout: float,
        auxiliary_head: bool,
        **backbone: Any,
    ) -> None:
        semseg = variant == "semseg"
        trunk = Backbone(depth, stem="deep", output_stride=8, first_dilates=semseg, **backbone)
        third, last = trunk.channels[2:]
        classifier = nn.Sequential(
            PyramidPooling(last), conv_head(2 * last, last // 4, num_classes, nn.Dropout2d(dropout))
        )
        auxiliary = conv_head(third, third // (4 if semseg else 2), num_classes, nn.Dropout2d(dropout))
        super().__init__(trunk, classifier, auxiliary if auxiliary_head else None, align_corners=semseg)
