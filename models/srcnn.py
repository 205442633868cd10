"""SRCNN (Dong et al. 2016, "Image super-resolution using deep convolutional networks") and VDSR (Kim et al. 2016,
"Accurate image super-resolution using very deep convolutional networks"): they sharpen what was enlarged before.

The enlarging is inside: a picture of `scale` times the size comes of it. Pictures are RGB in 0..1.
"""

from torch import Tensor, nn

from models.brightness import restored
from models.edsr import conv
from models.ops import bicubic


class Sharpener(nn.Module):
    """Float [B, 3, H, W] -> [B, 3, scale H, scale W]: bicubic, then a network of 1 channel, Y, or of 3."""

    def __init__(self, scale: int, channels: int, reach: int) -> None:
        super().__init__()
        self.scale, self.channels = scale, channels
        self.reach_px = -(-reach // scale) + bicubic.REACH_PX

    def forward(self, x: Tensor) -> Tensor:
        """Float [B, 3, H, W] -> [B, 3, scale H, scale W]."""
        return restored(self.sharpened, bicubic.enlarged(x, self.scale), self.channels)

    def sharpened(self, x: Tensor) -> Tensor:
        """Float [B, channels, H, W] -> the same, sharper."""
        raise NotImplementedError


class SRCNN(Sharpener):
    """Three convolutions: 9x9, `middle` x `middle`, 5x5 (section 3.1). They pad, where the paper's shrink the picture.

    Weights are drawn from N(0, 0.001) (section 3.3).
    """

    def __init__(self, *, scale: int, channels: int, middle: int, width: int) -> None:
        super().__init__(scale, channels, 4 + middle // 2 + 2)
        self.conv1 = conv(channels, width, 9)
        self.conv2 = conv(width, width // 2, middle)
        self.conv3 = conv(width // 2, channels, 5)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, std=0.001)

    def sharpened(self, x: Tensor) -> Tensor:
        """See `Sharpener`."""
        return self.conv3(self.conv2(self.conv1(x).relu()).relu())


class _Layer(nn.Module):
    def __init__(self, width: int, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu()


class VDSR(Sharpener):
    """`depth` convolutions 3x3, whose answer is added to the enlarged picture (section 3.1). He's initial weights."""

    def __init__(self, *, scale: int, channels: int, depth: int, width: int, bias: bool) -> None:
        super().__init__(scale, channels, depth)
        self.input = nn.Conv2d(channels, width, 3, padding=1, bias=bias)
        self.residual_layer = nn.Sequential(*(_Layer(width, bias) for _ in range(depth - 2)))
        self.output = nn.Conv2d(width, channels, 3, padding=1, bias=bias)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.kaiming_normal_(parameter, mode="fan_out")

    def sharpened(self, x: Tensor) -> Tensor:
        """See `Sharpener`."""
        return x + self.output(self.residual_layer(self.input(x).relu()))
