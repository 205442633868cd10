"""What hierarchical backbones share (ConvNeXt, HorNet, Swin): four stages, the map smaller before each."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.gnconv import EPS, ChannelNorm
from pipeline.base.errors import ZoetropeError


class Staged(nn.Module):
    """A backbone without its head: float [B, C, H, W] -> four maps, of which each has half the size of the one before.

    `downsample_layers` stand before the `stages`; the first makes `width` channels of patches of `patch_px`. Maps have
    `channels` and `strides`; published are strides of 4, 8, 16 and 32.
    """

    norm_eps = EPS

    def __init__(
        self,
        downsample_layers: Iterable[nn.Module],
        stages: Sequence[Iterable[nn.Module]],
        *,
        width: int,
        patch_px: int,
        smallest_px: int,
        gradient_checkpointing: bool,
    ) -> None:
        super().__init__()
        self.channels = stage_channels(width)
        self.strides = [patch_px * 2**stage for stage in range(4)]
        self.smallest_px = smallest_px
        self.gradient_checkpointing = gradient_checkpointing
        self.downsample_layers = nn.ModuleList(downsample_layers)
        self.stages = nn.ModuleList(nn.Sequential(*blocks) for blocks in stages)

    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """Map float [B, C, H, W] -> the four stages' maps [B, width * 2^i, H / (patch_px * 2^i), ...], channels-last.

        ZoetropeError when `x` is no image batch, or so small that nothing is left for the last stage.
        """
        if x.dim() != 4 or min(x.shape[2:]) < self.smallest_px:
            raise ZoetropeError(
                f"{type(self).__name__} takes images [B, C, H, W] of at least {self.smallest_px} x {self.smallest_px} "
                f"px, got the shape {tuple(x.shape)}; a smaller patch_px allows smaller images"
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


class NormedMaps(Staged):
    """For dense tasks, in front of a backbone among the bases: its four maps, each behind a norm of its own."""

    def __init__(self, **design: Any) -> None:
        super().__init__(**design)
        for stage, channels in enumerate(self.channels):
            self.add_module(f"norm{stage}", ChannelNorm(channels, self.norm_eps))

    def maps(self, x: Tensor) -> list[Tensor]:
        """Map float [B, C, H, W] -> [B, width * 2^i, H / (patch_px * 2^i), W / (patch_px * 2^i)] for i in 0..3."""
        return [self.get_submodule(f"norm{i}")(stage_map) for i, stage_map in enumerate(self.stage_maps(x))]


def stage_channels(width: int) -> list[int]:
    """Return the channels of the four stages."""
    return [width * 2**stage for stage in range(4)]


def strided_convolutions(width: int, patch_px: int, in_channels: int) -> list[nn.Module]:
    """Make ConvNeXt's downsampling, which HorNet has too: patches and a norm, then norms and 2x2 convolutions."""
    channels = stage_channels(width)
    patches = nn.Conv2d(in_channels, width, patch_px, stride=patch_px)
    layers: list[nn.Module] = [nn.Sequential(patches, ChannelNorm(width))]
    for before, after in pairwise(channels):
        layers.append(nn.Sequential(ChannelNorm(before), nn.Conv2d(before, after, 2, stride=2)))
    return layers


def initialise(module: nn.Module) -> None:
    """Initialise as the releases of ConvNeXt and HorNet: truncated normals of 0.02 and zero biases.

    Norms start at the identity by themselves.
    """
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
