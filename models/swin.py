"""Swin Transformer (Liu et al. 2021, "Swin transformer: hierarchical vision transformer using shifted windows").

Of maps that windows do not fill, and of maps smaller than one, it does as torchvision: zeros behind the norm fill them
up and are attended to, and no axis shifts that one window spans.
"""

from itertools import pairwise
from typing import NotRequired, TypedDict, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.attention import Mlp
from models.drop_path import DropPath, drop_path_rates
from models.gnconv import ChannelNorm
from models.linear import Linear
from models.staged import NormedMaps, Staged, stage_channels
from pipeline.base.errors import ZoetropeError

EPS = 1e-5
WINDOW = 7
"""Places on a side of a window."""
MASKED = -100.0
"""What is added where places do not see each other, as published: not minus infinity."""


class Design(TypedDict):
    """What the backbone is made of; `models.options` describes each."""

    width: int
    heads: int
    depths: tuple[int, int, int, int]
    patch_px: int
    drop_path: float
    in_channels: NotRequired[int]
    gradient_checkpointing: bool


class WindowAttention(nn.Module):
    """Attention inside windows that lie `shift` places further (section 3.2): [B, H, W, C] -> [B, H, W, C].

    Each pair of places adds the learned bias of their distance (eq. 4).
    """

    relative_position_index: Tensor

    def __init__(self, channels: int, heads: int, shift: int) -> None:
        super().__init__()
        if channels % heads:
            raise ZoetropeError(f"{heads} heads of Swin share {channels} channels: make width a multiple of heads")
        self.heads = heads
        self.shift = shift
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_positions(WINDOW), persistent=False)
        self.qkv = Linear(channels, 3 * channels)
        self.proj = Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, H, W, C]."""
        height, width = x.shape[1:3]
        x = functional.pad(x, (0, 0, 0, -width % WINDOW, 0, -height % WINDOW))
        shifts = [self.shift if side > WINDOW else 0 for side in x.shape[1:3]]
        if any(shifts):
            x = x.roll((-shifts[0], -shifts[1]), (1, 2))
        rows, columns = x.shape[1] // WINDOW, x.shape[2] // WINDOW
        # [B, rows, 7, columns, 7, 3, heads, D] -> [3, B, windows, heads, 49, D]
        parts = (
            self.qkv(x).unflatten(3, (3, self.heads, -1)).unflatten(2, (columns, WINDOW)).unflatten(1, (rows, WINDOW))
        )
        query, key, value = parts.permute(5, 0, 1, 3, 6, 2, 4, 7).flatten(5, 6).flatten(2, 3)
        index = self.relative_position_index
        bias = self.relative_position_bias_table[index.flatten()].unflatten(0, index.shape).permute(2, 0, 1)
        if any(shifts):
            bias = bias + shift_mask((x.shape[1], x.shape[2]), shifts, WINDOW, bias)[:, None]
        scale = query.shape[-1] ** -0.5
        x = (query * scale @ key.transpose(-2, -1) + bias).softmax(-1) @ value
        # [B, windows, heads, 49, D] -> [B, rows * 7, columns * 7, C]
        x = x.unflatten(3, (WINDOW, WINDOW)).unflatten(1, (rows, columns)).permute(0, 1, 4, 2, 5, 3, 6)
        x = x.flatten(5, 6).flatten(3, 4).flatten(1, 2)
        if any(shifts):
            x = x.roll(tuple(shifts), (1, 2))
        return self.proj(x[:, :height, :width])


class Block(nn.Module):
    """Attention in windows, then an MLP, each behind a norm on a residual branch: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int, heads: int, shift: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=EPS)
        self.attn = WindowAttention(channels, heads, shift)
        self.norm2 = nn.LayerNorm(channels, eps=EPS)
        self.mlp = Mlp(channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] -> [B, C, H, W]."""
        # [B, H, W, C], a view of channels-last memory.
        x = x.permute(0, 2, 3, 1)
        x = x + self.drop_path(self.attn(self.norm1(x)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x.permute(0, 3, 1, 2)


class PatchMerging(nn.Module):
    """Four neighbours become one place of twice the channels: [B, C, H, W] -> [B, 2 * C, H/2, W/2], rounded up."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels, eps=EPS)
        self.reduction = Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] -> [B, 2 * C, H/2, W/2]."""
        x = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 0, x.shape[3] % 2, 0, x.shape[2] % 2))
        # Down a column first.
        neighbours = torch.cat([x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)], 3)
        return self.reduction(self.norm(neighbours)).permute(0, 3, 1, 2)


class Backbone(Staged):
    """A Swin without its head: float [B, C, H, W] -> four maps, of which each has half the size of the one before."""

    norm_eps = EPS

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        depths: tuple[int, int, int, int],
        patch_px: int,
        drop_path: float,
        gradient_checkpointing: bool,
        in_channels: int = 3,
    ) -> None:
        patches = nn.Sequential(nn.Conv2d(in_channels, width, patch_px, stride=patch_px), ChannelNorm(width, EPS))
        rates = iter(drop_path_rates(drop_path, sum(depths)))
        channels = stage_channels(width)
        stages = [
            [Block(channels[i], heads * 2**i, WINDOW // 2 * (j % 2), next(rates)) for j in range(depth)]
            for i, depth in enumerate(depths)
        ]
        super().__init__(
            [patches, *(PatchMerging(before) for before, _ in pairwise(channels))],
            stages,
            width=width,
            patch_px=patch_px,
            smallest_px=patch_px,
            gradient_checkpointing=gradient_checkpointing,
        )
        self.apply(_initialise)


class Swin(Backbone):
    """An image classifier: float [B, in_channels, H, W] of any size from patch_px on -> logits [B, num_classes]."""

    def __init__(self, *, num_classes: int, **design: Unpack[Design]) -> None:
        super().__init__(**design)
        self.norm = ChannelNorm(self.channels[-1], EPS)
        self.head = nn.Linear(self.channels[-1], num_classes)
        self.head.apply(_initialise)

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, C, H, W] -> [B, 8 * width], what the head takes: the last map normed, averaged over places."""
        return self.norm(self.stage_maps(x)[-1]).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, in_channels, H, W] -> logits [B, num_classes]."""
        return self.head(self.features(x))


class SwinMaps(NormedMaps, Backbone):
    """For dense tasks: `maps` gives four normed maps of `channels` and `strides`; published are 4, 8, 16 and 32."""


def relative_positions(side: int) -> Tensor:
    """Return which bias a pair of a window's places has: int64 [side^2, side^2], by rows and then columns apart.

    Distances of -side + 1 to side - 1 count from 0, those of rows before those of columns.
    """
    places = torch.cartesian_prod(torch.arange(side), torch.arange(side))
    apart = places[:, None] - places[None] + side - 1
    return apart[..., 0] * (2 * side - 1) + apart[..., 1]


def shift_mask(size: tuple[int, int], shifts: list[int], window: int, like: Tensor) -> Tensor:
    """Return 0 for pairs of places that were near before the map was rolled, `MASKED` for others (figure 4).

    Of a map [H, W] as wide as several windows: [windows, window^2, window^2], of the type and device of `like`.
    """
    places = [torch.arange(side, device=like.device) for side in size]
    # 0 where a place was near its window, 1 and 2 in the last window, before and behind the seam.
    regions = [
        (place >= side - window).long() + (place >= side - shift)
        for place, side, shift in zip(places, size, shifts, strict=True)
    ]
    labels = (3 * regions[0][:, None] + regions[1]).unflatten(1, (-1, window)).unflatten(0, (-1, window))
    labels = labels.transpose(1, 2).flatten(2).flatten(0, 1)
    return MASKED * (labels[:, :, None] != labels[:, None]).to(like.dtype)


def _initialise(module: nn.Module) -> None:
    """Initialise linear layers as published: truncated normals of 0.02 and zero biases."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
