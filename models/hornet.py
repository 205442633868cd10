"""HorNet (Rao et al. 2022, "HorNet: efficient high-order spatial interactions with recursive gated convolutions").

A hierarchical backbone like ConvNeXt's whose spatial mixing is gnConv. Names of parameters are the official release's.
"""

from typing import NotRequired, TypedDict, Unpack

import torch
from torch import Tensor, nn

from models.drop_path import DropPath, drop_path_rates
from models.gnconv import EPS, ChannelNorm, GnConv
from models.linear import Linear, LinearGELU
from models.staged import NormedMaps, Staged, initialise, stage_channels, strided_convolutions

# Published: where the branches' learned scales start.
LAYER_SCALE = 1e-6


class Design(TypedDict):
    """What the backbone is made of; `models.options` describes each."""

    width: int
    depths: tuple[int, int, int, int]
    orders: tuple[int, int, int, int]
    kernel: int
    scale: float
    global_filter: bool
    size_px: int
    patch_px: int
    drop_path: float
    in_channels: NotRequired[int]
    gradient_checkpointing: bool


class Block(nn.Module):
    """gnConv, then an MLP, each on a scaled residual branch: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(
        self,
        channels: int,
        order: int,
        filter_size: tuple[int, int] | None,
        drop_path: float,
        kernel: int = 7,
        scale: float = 1 / 3,
    ) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.gnconv = GnConv(channels, order, kernel=kernel, filter_size=filter_size, scale=scale)
        self.norm2 = nn.LayerNorm(channels, eps=EPS)
        self.pwconv1 = LinearGELU(channels, 4 * channels)
        self.pwconv2 = Linear(4 * channels, channels)
        self.gamma1 = nn.Parameter(LAYER_SCALE * torch.ones(channels))
        self.gamma2 = nn.Parameter(LAYER_SCALE * torch.ones(channels))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] -> [B, C, H, W]."""
        # [B, H, W, C], a view of channels-last memory.
        x = x.permute(0, 2, 3, 1)
        add = self.drop_path.add_scaled
        x = add(x, self.gnconv(self.norm1(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1), self.gamma1)
        x = add(x, self.pwconv2(self.pwconv1(self.norm2(x))), self.gamma2)
        return x.permute(0, 3, 1, 2)


class Backbone(Staged):
    """A HorNet without its head: float [B, C, H, W] -> four maps, of which each has half the size of the one before."""

    def __init__(
        self,
        *,
        width: int,
        depths: tuple[int, int, int, int],
        orders: tuple[int, int, int, int],
        kernel: int,
        scale: float,
        global_filter: bool,
        size_px: int,
        patch_px: int,
        drop_path: float,
        gradient_checkpointing: bool,
        in_channels: int = 3,
    ) -> None:
        smaller = strided_convolutions(width, patch_px, in_channels)
        rates = iter(drop_path_rates(drop_path, sum(depths)))
        stages = []
        for stage, (channels, depth, order) in enumerate(zip(stage_channels(width), depths, orders, strict=True)):
            # The maps of the first two stages are too large for a global filter to pay.
            side = max(1, size_px // (patch_px * 2**stage))
            filter_size = (side, side // 2 + 1) if global_filter and stage >= 2 else None
            stages.append([Block(channels, order, filter_size, next(rates), kernel, scale) for _ in range(depth)])
        super().__init__(
            smaller,
            stages,
            width=width,
            patch_px=patch_px,
            smallest_px=patch_px * 8,
            gradient_checkpointing=gradient_checkpointing,
        )
        self.apply(initialise)


class HorNet(Backbone):
    """An image classifier: float [B, in_channels, H, W] -> logits [B, num_classes]."""

    def __init__(self, *, num_classes: int, **design: Unpack[Design]) -> None:
        super().__init__(**design)
        self.norm = nn.LayerNorm(self.channels[-1], eps=EPS)
        self.head = nn.Linear(self.channels[-1], num_classes)
        self.head.apply(initialise)

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> [B, 8 * width], what the head takes: the last map averaged
        over its places, normed.
        """
        return self.norm(self.stage_maps(x)[-1].mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> logits [B, num_classes]."""
        return self.head(self.features(x))


class HorNetMaps(NormedMaps, Backbone):
    """For dense tasks: `maps` gives four normed maps of `channels` and `strides`; published are 4, 8, 16 and 32."""
