"""gnConv and the global filter of HorNet (Rao et al. 2022, "HorNet: efficient high-order spatial interactions").

Everything is laid out channels-last: a norm over channels is then a plain layer norm, a 1x1 convolution a matrix
product, and splitting channels a view. Shapes are written as usual, [B, C, H, W].
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.base.errors import ZoetropeError

# Published: HorNet's layer norms.
EPS = 1e-6


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of a map, place by place: [B, C, H, W] -> [B, C, H, W], channels-last."""

    def __init__(self, channels: int, eps: float = EPS) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] -> [B, C, H, W]."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class GlobalFilter(nn.Module):
    """One half of the channels through a 3x3 convolution, the other through a filter as large as the map.

    The filter is a weight for every frequency: a circular convolution (Rao et al. 2021, "Global filter networks").
    Frequencies are always float32, for half precision overflows in sums over a whole map. `size` = (h, w) are the
    filter's frequencies, h x (w - 1)*2 the map it is made for; maps of another size resize it (bilinear).
    """

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        if channels % 2:
            raise ZoetropeError(f"a global filter halves its channels, so {channels} of them will not do: make it even")
        half = channels // 2
        self.complex_weight = nn.Parameter(torch.empty(half, *size, 2))
        nn.init.trunc_normal_(self.complex_weight, std=0.02)
        self.dw = nn.Conv2d(half, half, 3, padding=1, bias=False, groups=half)
        self.pre_norm = ChannelNorm(channels)
        self.post_norm = ChannelNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels, H, W] -> [B, channels, H, W], the two halves interleaved."""
        local, whole = self.pre_norm(x).chunk(2, dim=1)
        local = self.dw(local)
        whole = self._filtered(whole).to(local.dtype)
        mixed = torch.stack([local.permute(0, 2, 3, 1), whole.permute(0, 2, 3, 1)], dim=-1).flatten(3)
        return self.post_norm(mixed.permute(0, 3, 1, 2))

    def _filtered(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        weight = resize_filter(self.complex_weight.float(), (size[0], size[1] // 2 + 1))
        # No operation below is one that autocast lowers, so what is float32 once stays it.
        spectrum = torch.fft.rfft2(x.float(), norm="ortho")
        return torch.fft.irfft2(spectrum * torch.view_as_complex(weight.contiguous()), s=size, norm="ortho")


class GnConv(nn.Module):
    """Recursive gated convolution of order `order`: [B, in_channels, H, W] -> [B, channels, H, W] (section 3.1).

    The map is multiplied `order` times, place by place, by features of its surroundings, of channels/2^(order-1), ...,
    channels/2, channels (eq. 3-5). One depth-wise convolution of `kernel` x `kernel` gives them all, or one global
    filter of `filter_size`. `scale` multiplies these features; HorNet's models have 1/3. `in_channels` are `channels`
    unless they are said. ZoetropeError when channels cannot be halved so often.
    """

    def __init__(
        self,
        channels: int,
        order: int,
        *,
        in_channels: int | None = None,
        kernel: int = 7,
        filter_size: tuple[int, int] | None = None,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        if channels % 2 ** (order - 1):
            raise ZoetropeError(
                f"gnConv of order {order} halves its channels {order - 1} times, so they must be a multiple of "
                f"{2 ** (order - 1)}; got {channels}"
            )
        self.widths = [channels // 2 ** (order - 1 - i) for i in range(order)]
        self.scale = scale
        self.proj_in = nn.Conv2d(in_channels or channels, 2 * channels, 1)
        around = sum(self.widths)
        if filter_size is None:
            self.dwconv: nn.Module = nn.Conv2d(around, around, kernel, padding=kernel // 2, groups=around)
        else:
            self.dwconv = GlobalFilter(around, filter_size)
        self.proj_out = nn.Conv2d(channels, channels, 1)
        self.pws = nn.ModuleList(nn.Conv2d(self.widths[i], self.widths[i + 1], 1) for i in range(order - 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, H, W] -> [B, channels, H, W]."""
        first, around = self.proj_in(x).split([self.widths[0], sum(self.widths)], dim=1)
        gates = (self.dwconv(around) * self.scale).split(self.widths, dim=1)
        y = first * gates[0]
        for widen, gate in zip(self.pws, gates[1:], strict=True):
            y = widen(y) * gate
        return self.proj_out(y)


def resize_filter(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a filter's frequencies [C, h, w, 2] -> [C, *size, 2]: bilinear with aligned corners, as the release."""
    if tuple(weight.shape[1:3]) == size:
        return weight
    planes = functional.interpolate(weight.permute(3, 0, 1, 2), size=size, mode="bilinear", align_corners=True)
    return planes.permute(1, 2, 3, 0)
