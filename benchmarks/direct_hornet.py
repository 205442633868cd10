"""HorNet's blocks written down as the paper's equations read, as a peer for benchmarks.

Maps are [B, C, H, W] in memory as well, every gate has its own depth-wise convolution (equation 4's f_k), norms over
channels are a mean and a variance. The weights are those of a model of `models.hornet`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.gnconv import EPS, GlobalFilter, GnConv, resize_filter
from models.hornet import Block, HorNet


def make_direct(model: HorNet) -> HorNet:
    """Make `model` run the direct transcription; returned for convenience."""
    model.stage_maps = DirectStages(model)  # type: ignore[method-assign]  # the other way to do it
    return model


class DirectStages:
    """Float [B, 3, H, W] -> the four stages' maps."""

    def __init__(self, model: HorNet) -> None:
        self.model = model

    def __call__(self, x: Tensor) -> list[Tensor]:
        maps = []
        for i, (downsample, stage) in enumerate(zip(self.model.downsample_layers, self.model.stages, strict=True)):
            first, second = downsample.children()
            x = norm(first(x), second) if i == 0 else second(norm(x, first))
            for block in stage.children():
                x = run_block(block, x)
            maps.append(x)
        return maps


def run_block(block: Any, x: Tensor) -> Tensor:
    """One block: [B, C, H, W] -> [B, C, H, W]."""
    assert isinstance(block, Block)
    y = block.gamma1[:, None, None] * gnconv(block.gnconv, norm(x, block.norm1))
    x = x + block.drop_path(y)
    y = block.norm2(x.permute(0, 2, 3, 1))
    y = block.gamma2 * block.pwconv2(functional.gelu(functional.linear(y, block.pwconv1.weight, block.pwconv1.bias)))
    return x + block.drop_path(y.permute(0, 3, 1, 2))


def gnconv(module: GnConv, x: Tensor) -> Tensor:
    """Equations 3 to 5: [B, C, H, W] -> [B, C, H, W]."""
    first, *around = module.proj_in(x).split([module.widths[0], *module.widths], dim=1)
    if isinstance(module.dwconv, GlobalFilter):
        gates = list(global_filter(module.dwconv, torch.cat(around, dim=1)).split(module.widths, dim=1))
    else:
        assert isinstance(module.dwconv, nn.Conv2d)
        assert module.dwconv.bias is not None
        weights, biases = module.dwconv.weight.split(module.widths), module.dwconv.bias.split(module.widths)
        gates = [
            functional.conv2d(part, weight, bias, padding=3, groups=len(weight))
            for part, weight, bias in zip(around, weights, biases, strict=True)
        ]
    y = first * (gates[0] * module.scale)
    for widen, gate in zip(module.pws, gates[1:], strict=True):
        y = widen(y) * (gate * module.scale)
    return module.proj_out(y)


def global_filter(module: GlobalFilter, x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C, H, W]."""
    local, whole = norm(x, module.pre_norm).chunk(2, dim=1)
    size = whole.shape[2:]
    weight = torch.view_as_complex(resize_filter(module.complex_weight, (size[0], size[1] // 2 + 1)).contiguous())
    whole = torch.fft.irfft2(torch.fft.rfft2(whole.float(), norm="ortho") * weight, s=size, norm="ortho")
    mixed = torch.cat([module.dw(local)[:, :, None], whole[:, :, None]], dim=2)
    return norm(mixed.reshape(x.shape), module.post_norm)


def norm(x: Tensor, module: Any) -> Tensor:
    """Layer norm over the channels of [B, C, H, W]."""
    mean = x.mean(1, keepdim=True)
    variance = (x - mean).pow(2).mean(1, keepdim=True)
    normed = (x - mean) / torch.sqrt(variance + EPS)
    return module.weight[:, None, None] * normed + module.bias[:, None, None]
