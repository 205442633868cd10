"""ConvNeXt (Liu et al. 2022, "A ConvNet for the 2020s"). Names of parameters are the official release's."""

from typing import NotRequired, TypedDict, Unpack

import torch
from torch import Tensor, nn

from models.drop_path import DropPath, drop_path_rates
from models.gnconv import EPS
from models.linear import Linear, LinearGELU
from models.staged import NormedMaps, Staged, initialise, stage_channels, strided_convolutions

# Published: where the branches' learned scales start.
LAYER_SCALE = 1e-6


class Design(TypedDict):
    """What the backbone is made of; `models.options` describes each."""

    width: int
    depths: tuple[int, int, int, int]
    patch_px: int
    drop_path: float
    in_channels: NotRequired[int]
    gradient_checkpointing: bool


class Block(nn.Module):
    """A depth-wise 7x7 convolution and an MLP on a scaled residual branch (figure 4): [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int, drop_path: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(LAYER_SCALE * torch.ones(channels))
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=EPS)
        self.pwconv1 = LinearGELU(channels, 4 * channels)
        self.pwconv2 = Linear(4 * channels, channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] -> [B, C, H, W]."""
        # [B, H, W, C], a view of channels-last memory.
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.pwconv2(self.pwconv1(y))
        return self.drop_path.add_scaled(x.permute(0, 2, 3, 1), y, self.gamma).permute(0, 3, 1, 2)


class Backbone(Staged):
    """Without the head: float [B, C, H, W] -> four maps, of which each has half the size of the one before."""

    def __init__(
        self,
        *,
        width: int,
        depths: tuple[int, int, int, int],
        patch_px: int,
        drop_path: float,
        gradient_checkpointing: bool,
        in_channels: int = 3,
    ) -> None:
        rates = iter(drop_path_rates(drop_path, sum(depths)))
        stages = [
            [Block(channels, next(rates)) for _ in range(depth)]
            for channels, depth in zip(stage_channels(width), depths, strict=True)
        ]
        super().__init__(
            strided_convolutions(width, patch_px, in_channels),
            stages,
            width=width,
            patch_px=patch_px,
            smallest_px=patch_px * 8,
            gradient_checkpointing=gradient_checkpointing,
        )
        self.apply(initialise)


class ConvNeXt(Backbone):
    """An image classifier: float [B, in_channels, H, W] of 8 * patch_px or more -> logits [B, num_classes]."""

    def __init__(self, *, num_classes: int, **design: Unpack[Design]) -> None:
        super().__init__(**design)
        self.norm = nn.LayerNorm(self.channels[-1], eps=EPS)
        self.head = nn.Linear(self.channels[-1], num_classes)
        self.head.apply(initialise)

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, C, H, W] -> [B, 8 * width], what the head takes: the last map averaged over places, normed."""
        return self.norm(self.stage_maps(x)[-1].mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> logits [B, num_classes]."""
        return self.head(self.features(x))


class ConvNeXtMaps(NormedMaps, Backbone):
    """For dense tasks: `maps` gives four normed maps of `channels` and `strides`; published are 4, 8, 16 and 32."""
