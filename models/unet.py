"""U-Net (Ronneberger et al. 2015, "U-Net: convolutional networks for biomedical image segmentation").

`padded` is the one that most people use: 3x3 convolutions keep the size and have no bias but a batch norm behind them.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.recompute import recomputed
from models.unet_size import MARGIN_PX, valid_size
from pipeline.base.errors import ZoetropeError


class Up(nn.Module):
    """Twice the size and half the channels, then the contracting path's map beside it, and two convolutions.

    [B, 2C, h, w] and the map [B, C, H, W] -> [B, C, 2h - 4, 2w - 4], [B, C, H, W] when padded.
    """

    def __init__(self, channels: int, upsample: Literal["deconv", "bilinear"], padded: bool) -> None:
        super().__init__()
        self.padded = padded
        self.up: nn.Module
        if upsample == "deconv":
            self.up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        else:
            larger = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            self.up = nn.Sequential(larger, nn.Conv2d(2 * channels, channels, 1))
        self.conv = _two_convolutions(2 * channels, channels, padded)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """[B, 2C, h, w], [B, C, H, W] -> [B, C, 2h - 4, 2w - 4], or [B, C, H, W]."""
        x = self.up(x)
        rows, columns = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
        if self.padded:  # by the row or column that a pooling of an odd size left out
            x = functional.pad(x, (0, columns, 0, rows))
        else:
            x = functional.relu(x)  # the paper does not say so; the authors' network has it
            skip = skip[:, :, rows // 2 : rows // 2 + x.shape[2], columns // 2 : columns // 2 + x.shape[3]]
        return self.conv(torch.cat([skip, x], 1))


class UNet(nn.Module):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H - 2 * margin_px, W - 2 * margin_px].

    As published, `margin_px` is 92 and an input side has 16 p + 60 px, see `valid_size`; ZoetropeError for another.
    When padded it is 0, and a side has 16 px or more. Dropout is at the end of the contracting path: behind its last
    two levels, as the authors' network has it.
    """

    def __init__(
        self,
        *,
        padded: bool,
        num_classes: int,
        width: int,
        in_channels: int,
        dropout: float,
        upsample: Literal["deconv", "bilinear"],
        gradient_checkpointing: bool,
    ) -> None:
        super().__init__()
        self.margin_px = 0 if padded else MARGIN_PX
        self.gradient_checkpointing = gradient_checkpointing
        self.inc = _two_convolutions(in_channels, width, padded)
        self.down1 = _two_convolutions(width, 2 * width, padded)
        self.down2 = _two_convolutions(2 * width, 4 * width, padded)
        self.down3 = _two_convolutions(4 * width, 8 * width, padded, dropout)
        self.down4 = _two_convolutions(8 * width, 16 * width, padded, dropout)
        self.up1 = Up(8 * width, upsample, padded)
        self.up2 = Up(4 * width, upsample, padded)
        self.up3 = Up(2 * width, upsample, padded)
        self.up4 = Up(width, upsample, padded)
        self.outc = nn.Conv2d(width, num_classes, 1)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Float [B, in_channels, H, W] -> logits [B, num_classes, H - 2 * margin_px, W - 2 * margin_px]."""
        if self.margin_px:
            _check_size(*x.shape[2:])
        x = self._run(self.inc, x)
        skips = []
        for down in (self.down1, self.down2, self.down3, self.down4):
            skips.append(x)
            x = self._run(down, functional.max_pool2d(x, 2))
        for up in (self.up1, self.up2, self.up3, self.up4):
            x = self._run(up, x, skips.pop())
        return self.outc(x)

    def _run(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            return recomputed(block, block, *inputs)
        return block(*inputs)


def _check_size(height: int, width: int) -> None:
    larger = valid_size(height), valid_size(width)
    if larger != (height, width):
        raise ZoetropeError(
            f"unet takes inputs whose sides have 16 p + 60 px, 188 or more, and this one is {height} x {width} px: "
            f"bring it to {larger[0]} x {larger[1]}, or take unet_bn, which takes any size"
        )


def _two_convolutions(in_channels: int, channels: int, padded: bool, dropout: float = 0.0) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (in_channels, channels):
        layers.append(nn.Conv2d(before, channels, 3, padding=1 if padded else 0, bias=not padded))
        layers += [nn.BatchNorm2d(channels), nn.ReLU(True)] if padded else [nn.ReLU(True)]
    return nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []))


def _initialise(model: nn.Module) -> None:
    """Gaussian weights of variance 2 / N for N numbers that make one (section 3.1), and no biases."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            places = 1 if isinstance(module, nn.ConvTranspose2d) else module.kernel_size[0] * module.kernel_size[1]
            nn.init.normal_(module.weight, std=(2 / (places * module.in_channels)) ** 0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
