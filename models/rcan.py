"""RCAN (Zhang et al. 2018, "Image super-resolution using very deep residual channel attention networks")."""

from torch import Tensor, nn

from models.edsr import MeanShift, conv, upsampler

SQUEEZE = 16
"""Channels are squeezed to so small a part (section 4.1)."""


class ChannelAttention(nn.Module):
    """Weigh channels by what all places say together (section 3.3), as squeeze and excitation does."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(1, width // SQUEEZE)
        self.conv_du = nn.Sequential(
            nn.Conv2d(width, inner, 1), nn.ReLU(True), nn.Conv2d(inner, width, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same."""
        return x * self.conv_du(x.mean((2, 3), keepdim=True))


class RCAB(nn.Module):
    """A residual channel attention block (section 3.4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(width, width), nn.ReLU(True), conv(width, width), ChannelAttention(width))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same."""
        return x + self.body(x)


class Group(nn.Module):
    """Blocks and a convolution, with a skip connection over all (section 3.2)."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*(RCAB(width) for _ in range(blocks)), conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same."""
        return x + self.body(x)


class RCAN(nn.Module):
    """Float [B, 3, H, W] -> [B, 3, scale H, scale W], values from 0 to `pixel_range` in both.

    Its attention sees the whole picture: there is no distance that its answer does not reach over.
    """

    reach_px = None

    def __init__(self, *, scale: int, groups: int, blocks: int, width: int, pixel_range: float) -> None:
        super().__init__()
        self.scale = scale
        self.sub_mean, self.add_mean = (MeanShift(pixel_range, sign) for sign in (-1, 1))
        self.head = nn.Sequential(conv(3, width))
        self.body = nn.Sequential(*(Group(width, blocks) for _ in range(groups)), conv(width, width))
        self.tail = nn.Sequential(upsampler(width, scale), conv(width, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Float [B, 3, H, W] -> [B, 3, scale H, scale W]."""
        x = self.head(self.sub_mean(x))
        return self.add_mean(self.tail(x + self.body(x)))
