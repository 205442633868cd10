"""MSC: a network that looks at a picture in several sizes itself (Chen et al. 2017, "DeepLab" v2, section 4.1.2)."""

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.resnet import Backbone
from models.segmenter import enlarged

SCALES = (0.5, 0.75)
"""Beside the picture's own size."""


class MultiScaleSegmenter(nn.Module):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W], of any size.

    `classifier` makes logits of the backbone's last map, which are enlarged. With `msc` the network sees several sizes,
    see `multi_scale`; training then gives four of these.
    """

    margin_px = 0

    def __init__(self, backbone: Backbone, classifier: nn.Module, msc: bool) -> None:
        super().__init__()
        self.msc = msc
        self.backbone = backbone
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Float [B, in_channels, H, W] -> logits [B, num_classes, H, W]; four in training with `msc`."""
        logits = multi_scale(self._logits, x, self.training) if self.msc else self._logits(x)
        return tuple(enlarged(one, x) for one in logits) if isinstance(logits, tuple) else enlarged(logits, x)

    def _logits(self, x: Tensor) -> Tensor:
        return self.classifier(self.backbone.maps(x)[-1])


def multi_scale(run: Callable[[Tensor], Tensor], x: Tensor, training: bool) -> Tensor | tuple[Tensor, ...]:
    """Give the largest logit over sizes, place by place, of `run`: float [B, C, H, W] -> logits [B, K, h, w].

    In training behind it those of each size, enlarged to [B, K, h, w]: each learns, as published, where loss.auxiliary
    is 1.
    """
    whole = run(x)
    smaller = [
        run(functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)) for scale in SCALES
    ]
    every = [whole, *(enlarged(logits, whole) for logits in smaller)]
    largest = reduce(torch.maximum, every)
    return (largest, *every) if training else largest
