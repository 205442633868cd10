"""RDN (Zhang et al. 2018, "Residual dense network for image super-resolution")."""

import torch
from torch import Tensor, nn

from models.edsr import conv, upsampler


class DenseBlock(nn.Module):
    """Convolutions, each of all maps before it, fused by a 1x1 one and added to the input (section 3.2)."""

    def __init__(self, width: int, layers: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv(width + i * growth, growth) for i in range(layers))
        self.fusion = conv(width + layers * growth, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same."""
        maps = x
        for layer in self.layers:
            maps = torch.cat([maps, layer(maps).relu()], 1)
        return x + self.fusion(maps)


class RDN(nn.Module):
    """Float [B, 3, H, W] -> [B, 3, scale H, scale W]. `reach_px` as of EDSR."""

    def __init__(self, *, scale: int, blocks: int, layers: int, growth: int, width: int) -> None:
        super().__init__()
        self.scale = scale
        self.reach_px = blocks * layers + 5
        self.shallow = nn.Sequential(conv(3, width), conv(width, width))
        self.blocks = nn.ModuleList(DenseBlock(width, layers, growth) for _ in range(blocks))
        self.fusion = nn.Sequential(conv(blocks * width, width, 1), conv(width, width))
        self.tail = nn.Sequential(upsampler(width, scale), conv(width, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Float [B, 3, H, W] -> [B, 3, scale H, scale W]."""
        first = self.shallow[0](x)
        maps, x = [], self.shallow[1](first)
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return self.tail(first + self.fusion(torch.cat(maps, 1)))
