"""HorNet (Rao et al. 2022, "HorNet: efficient high-order spatial interactions with recursive gated convolutions").

A hierarchical backbone like ConvNeXt's whose spatial mixing is gnConv. Names of parameters are the official release's.
"""

from typing import TypedDict, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from models.drop_path import DropPath, drop_path_rates
from models.gnconv import EPS, ChannelNorm, GnConv
from models.linear import Linear
from pipeline.base.errors import ZoetropeError

# Of the four stages.
ORDERS = (2, 3, 4, 5)
# Published: what the surroundings are multiplied by, and where the branches' learned scales start.
GNCONV_SCALE = 1 / 3
LAYER_SCALE = 1e-6


class Design(TypedDict):
    """What the backbone is made of; `models.options` describes each."""

    width: int
    depths: tuple[int, int, int, int]
    global_filter: bool
    size_px: int
    patch_px: int
    drop_path: float
    gradient_checkpointing: bool


class Block(nn.Module):
    """gnConv, then an MLP, each on a scaled residual branch: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int, order: int, filter_size: tuple[int, int] | None, drop_path: float) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.gnconv = GnConv(channels, order, filter_size=filter_size, scale=GNCONV_SCALE)
        self.norm2 = nn.LayerNorm(channels, eps=EPS)
        self.pwconv1 = Linear(channels, 4 * channels)
        self.pwconv2 = Linear(4 * channels, channels)
        self.gamma1 = nn.Parameter(LAYER_SCALE * torch.ones(channels))
        self.gamma2 = nn.Parameter(LAYER_SCALE * torch.ones(channels))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] -> [B, C, H, W]."""
        # [B, H, W, C], a view of channels-last memory.
        x = x.permute(0, 2, 3, 1)
        x = self._add(x, self.gnconv(self.norm1(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1), self.gamma1)
        x = self._add(x, self.pwconv2(functional.gelu(self.pwconv1(self.norm2(x)))), self.gamma2)
        return x.permute(0, 3, 1, 2)

    def _add(self, x: Tensor, branch: Tensor, gamma: Tensor) -> Tensor:
        """Add drop_path(gamma * branch) to x, in one pass over the map."""
        mask = self.drop_path.mask(branch)
        return torch.addcmul(x, branch, gamma if mask is None else gamma * mask)


class Backbone(nn.Module):
    """A HorNet without its head: float [B, 3, H, W] -> four maps, of which each has half the size of the one before."""

    def __init__(
        self,
        *,
        width: int,
        depths: tuple[int, int, int, int],
        global_filter: bool,
        size_px: int,
        patch_px: int,
        drop_path: float,
        gradient_checkpointing: bool,
    ) -> None:
        super().__init__()
        self.channels = [width * 2**stage for stage in range(4)]
        self.strides = [patch_px * 2**stage for stage in range(4)]
        self.smallest_px = patch_px * 8
        self.gradient_checkpointing = gradient_checkpointing
        self.downsample_layers = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(3, width, patch_px, stride=patch_px), ChannelNorm(width))]
        )
        for before, after in zip(self.channels[:-1], self.channels[1:], strict=True):
            self.downsample_layers.append(nn.Sequential(ChannelNorm(before), nn.Conv2d(before, after, 2, stride=2)))
        rates = iter(drop_path_rates(drop_path, sum(depths)))
        self.stages = nn.ModuleList()
        for stage, (depth, order) in enumerate(zip(depths, ORDERS, strict=True)):
            # The maps of the first two stages are too large for a global filter to pay.
            side = max(1, size_px // (patch_px * 2**stage))
            filter_size = (side, side // 2 + 1) if global_filter and stage >= 2 else None
            blocks = (Block(self.channels[stage], order, filter_size, next(rates)) for _ in range(depth))
            self.stages.append(nn.Sequential(*blocks))
        self.apply(_initialise)

    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """Map float [B, 3, H, W] -> the four stages' maps [B, width * 2^i, H / (patch_px * 2^i), ...], channels-last.

        ZoetropeError when `x` is no image batch, or so small that nothing is left for the last stage.
        """
        if x.dim() != 4 or min(x.shape[2:]) < self.smallest_px:
            raise ZoetropeError(
                f"HorNet takes images [B, 3, H, W] of at least {self.smallest_px} x {self.smallest_px} px, "
                f"got the shape {tuple(x.shape)}; a smaller patch_px allows smaller images"
            )
        x = x.contiguous(memory_format=torch.channels_last)
        maps = []
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = downsample(x)
            for block in stage.children():
                if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
                    x = checkpoint(block, x, use_reentrant=False)
                else:
                    x = block(x)
            maps.append(x)
        return maps


class HorNet(Backbone):
    """An image classifier: float [B, 3, H, W] -> logits [B, num_classes]."""

    def __init__(self, *, num_classes: int, **design: Unpack[Design]) -> None:
        super().__init__(**design)
        self.norm = nn.LayerNorm(self.channels[-1], eps=EPS)
        self.head = nn.Linear(self.channels[-1], num_classes)
        self.head.apply(_initialise)

    def features(self, x: Tensor) -> Tensor:
        """Map float [B, 3, H, W] -> [B, 8 * width], what the head takes: the last map averaged
        over its places, normed.
        """
        return self.norm(self.stage_maps(x)[-1].mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, 3, H, W] -> logits [B, num_classes]."""
        return self.head(self.features(x))


class HorNetMaps(Backbone):
    """For dense tasks: `maps` gives four normed maps of `channels` and `strides`; published are 4, 8, 16 and 32."""

    def __init__(self, **design: Unpack[Design]) -> None:
        super().__init__(**design)
        for stage, channels in enumerate(self.channels):
            self.add_module(f"norm{stage}", ChannelNorm(channels))

    def maps(self, x: Tensor) -> list[Tensor]:
        """Map float [B, 3, H, W] -> [B, width * 2^i, H / (patch_px * 2^i), W / (patch_px * 2^i)] for i in 0..3."""
        return [self.get_submodule(f"norm{i}")(stage_map) for i, stage_map in enumerate(self.stage_maps(x))]


def _initialise(module: nn.Module) -> None:
    """Initialise as the release: truncated normals of 0.02 and zero biases.

    Norms start at the identity by themselves.
    """
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
