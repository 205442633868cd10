"""SegNet (Badrinarayanan et al. 2017, "SegNet: a deep convolutional encoder-decoder architecture").

VGG-16 with batch norms, and its mirror image, which puts every value back where the pooling found it. `variant:
yassouali` is pytorch-segmentation's: one convolution more before the last, and pools that round down.
"""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.vgg import STAGES, convolutions


class SegNet(nn.Module):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W].

    Of any size; of 32 px or more where pools round down.
    """

    margin_px = 0

    def __init__(
        self, *, num_classes: int, width: int, in_channels: int, variant: Literal["paper", "yassouali"]
    ) -> None:
        super().__init__()
        self.rounds_up = variant == "paper"
        self.features = convolutions(STAGES, in_channels=in_channels, width=width, batch_norm=True)
        self.decoder = nn.ModuleList()
        afters = [width * stage[0] for stage in STAGES[-2::-1]]  # what the next stage takes, but for the last one
        for stage, after in zip(STAGES[:0:-1], afters, strict=True):
            steps = [*(width * widths for widths in stage), after]
            self.decoder.append(_stage(steps))
        self.decoder.append(_stage([width] * (2 if self.rounds_up else 3)))
        self.score = nn.Conv2d(width, num_classes, 3, padding=1)
        for module in (*self.decoder.modules(), self.score):
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # there is one

    def forward(self, x: Tensor) -> Tensor:
        """Float [B, in_channels, H, W] -> logits [B, num_classes, H, W]."""
        found = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                size = x.shape[2:]
                x, indices = functional.max_pool2d(x, 2, ceil_mode=self.rounds_up, return_indices=True)
                found.append((indices, size))
            else:
                x = layer(x)
        for stage in self.decoder:
            x = stage(unpooled(x, *found.pop()))
        return self.score(x)


def unpooled(x: Tensor, indices: Tensor, size: torch.Size) -> Tensor:
    """Put [B, C, h, w] where a max pooling found it in [B, C, *size], zeros elsewhere; indices are of a plane's places.

    As torch's max_unpool2d, which is neither exported nor deterministic on GPUs.
    """
    height, width = size
    plane = x.new_zeros(x.shape[0], x.shape[1], height * width)
    return plane.scatter(2, indices.flatten(2), x.flatten(2)).unflatten(2, (height, width))


def _stage(channels: list[int]) -> nn.Sequential:
    """Build 3x3 convolutions with batch norms, from the first number of channels to each next one."""
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(True)]
    return nn.Sequential(*layers)
