"""DeepLab v3 in cascade (Chen et al. 2017, "Rethinking atrous convolution for semantic image segmentation").

Section 3.2, "going deeper with atrous convolution": copies of the last stage behind it, in place of a pyramid.
"""

from collections import OrderedDict
from typing import Any, Literal

from torch import Tensor, nn

from models.resnet import Backbone, Bottleneck, initialise
from models.segmenter import Segmenter


class Cascade(Backbone):
    """A ResNet with blocks 5 to `blocks` behind its last stage, block 4: each dilates twice as much as the one before.

    `multi_grid` multiplies the rate of each of a block's three convolutions, from block 4 on (section 3.2.1).
    """

    def __init__(
        self,
        depth: int,
        *,
        blocks: int,
        multi_grid: tuple[int, int, int],
        output_stride: Literal[8, 16],
        zero_init_residual: bool,
        **backbone: Any,
    ) -> None:
        super().__init__(
            depth,
            output_stride=output_stride,
            first_dilates=True,
            multi_grid=multi_grid,
            zero_init_residual=zero_init_residual,
            **backbone,
        )
        rate, channels = 32 // output_stride, self.channels[3]
        self.further = [f"layer{number}" for number in range(5, blocks + 1)]
        for name in self.further:
            rate *= 2
            units = [Bottleneck(channels, channels // 4, 1, (rate * times, 1)) for times in multi_grid]
            self.add_module(name, nn.Sequential(*units))
            initialise(self.get_submodule(name), zero_init_residual)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Map float [B, in_channels, H, W] -> the maps of the first three stages, and what the last block gives."""
        *maps, last = super().maps(x)
        for name in self.further:
            block = self.get_submodule(name)
            assert isinstance(block, nn.Sequential)
            last = self.run_stage(block, last)
        return [*maps, last]


class DeepLabV3Cascade(Segmenter):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W], of any size."""

    def __init__(self, depth: int, *, num_classes: int, **cascade: Any) -> None:
        trunk = Cascade(depth, stem="imagenet", **cascade)
        head = nn.Conv2d(trunk.channels[3], num_classes, 1)
        super().__init__(trunk, nn.Sequential(OrderedDict(head=head)), None)
