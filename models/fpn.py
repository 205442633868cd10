"""FPN (Lin et al. 2017, "Feature pyramid networks for object detection"), and HorFPN (Rao et al. 2022, "HorNet")."""

from collections.abc import Callable, Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from models.gnconv import GnConv

Layer = Callable[[int, int], nn.Module]
"""Makes a layer of two numbers of channels, before and behind it."""
FILTER_SIZE = (32, 17)
"""Frequencies of HorFPN's global filter in the release."""


class FPN(nn.Module):
    """Give fine maps what coarser ones know (section 3): [B, in_channels[i], ...] -> [B, channels, ...], finest first.

    `lateral` makes the layers in front of the sums, a 1x1 convolution in the paper, and `output` those behind, 3x3.
    `mode` is how the coarser sum is brought to the finer one's size.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        lateral: Layer,
        output: Layer,
        mode: Literal["nearest", "bilinear"],
    ) -> None:
        super().__init__()
        self.mode = mode
        self.laterals = nn.ModuleList(lateral(before, channels) for before in in_channels)
        self.outputs = nn.ModuleList(output(channels, channels) for _ in in_channels)

    def forward(self, maps: Sequence[Tensor], top: Tensor | None = None) -> list[Tensor]:
        """[B, in_channels[i], h_i, w_i] -> [B, channels, h_i, w_i]; `top` [B, channels, ...] is coarser than they."""
        laterals = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        sums: list[Tensor] = []
        for x in reversed(laterals):
            if top is not None:
                x = x + functional.interpolate(top, size=x.shape[2:], mode=self.mode)
            sums.append(x)
            top = x
        return [output(x) for output, x in zip(self.outputs, reversed(sums), strict=True)]


def gated(in_channels: int, channels: int, filter_size: tuple[int, int] | None = None) -> GnConv:
    """Make what HorFPN has in place of a 3x3 convolution: a gnConv of order 2, 7x7 or of a global filter (section 3.2).

    [B, in_channels, H, W] -> [B, channels, H, W].
    """
    return GnConv(channels, 2, in_channels=in_channels, filter_size=filter_size)
