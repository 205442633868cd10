"""U-Net as pytorch-segmentation has it, with that code's names of parameters.

Against `models.unet`, padded: the first of two convolutions has half the channels, poolings stand behind convolutions
and round up, and what is shorter than the other path's map is stretched to it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.recompute import recomputed


class Down(nn.Module):
    """Two convolutions and a pooling: [B, C, H, W] -> [B, 2C, H/2, W/2], rounded up."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down_conv = _two_convolutions(channels, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, 2C, H/2, W/2]."""
        return functional.max_pool2d(self.down_conv(x), 2, ceil_mode=True)


class Up(nn.Module):
    """Enlarge to the other path's map and put it beside: [B, 2C, h, w], [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.up_conv = _two_convolutions(2 * channels, channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """[B, 2C, h, w], [B, C, H, W] -> [B, C, H, W]."""
        x = functional.interpolate(self.up(x), size=skip.shape[2:], mode="bilinear", align_corners=True)
        return self.up_conv(torch.cat([skip, x], 1))


class UNetYassouali(nn.Module):
    """Logits of every pixel: float [B, in_channels, H, W] -> [B, num_classes, H, W], of any size."""

    margin_px = 0

    def __init__(self, *, num_classes: int, width: int, in_channels: int, gradient_checkpointing: bool) -> None:
        super().__init__()
        self.gradient_checkpointing = gradient_checkpointing
        self.start_conv = _two_convolutions(in_channels, width)
        self.down1, self.down2, self.down3, self.down4 = (Down(width * 2**i) for i in range(4))
        self.middle_conv = _two_convolutions(16 * width, 16 * width)
        self.up1, self.up2, self.up3, self.up4 = (Up(width * 2**i) for i in reversed(range(4)))
        self.final_conv = nn.Conv2d(width, num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Float [B, in_channels, H, W] -> logits [B, num_classes, H, W]."""
        x = self._run(self.start_conv, x)
        skips = []
        for down in (self.down1, self.down2, self.down3, self.down4):
            skips.append(x)
            x = self._run(down, x)
        x = self._run(self.middle_conv, x)
        for up in (self.up1, self.up2, self.up3, self.up4):
            x = self._run(up, x, skips.pop())
        return self.final_conv(x)

    def _run(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            return recomputed(block, block, *inputs)
        return block(*inputs)


def _two_convolutions(in_channels: int, channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in ((in_channels, channels // 2), (channels // 2, channels)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(True)]
    return nn.Sequential(*layers)
