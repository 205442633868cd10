"""The temporal shift (Lin et al. 2019, "TSM: temporal shift module for efficient video understanding", section 3).

Some channels of every frame come from the next frame, some from the previous one, the others stay: neighbouring
frames mix at the price of a copy and no arithmetic. Frames beyond the clip's ends are zeros.
"""

from typing import Any

import torch
from torch import Tensor, nn


def temporal_shift(x: Tensor, num_frames: int, divisor: int) -> Tensor:
    """Shift 1/divisor of the channels one frame to the left and as many one frame to the right.

    `x` is [B*T, C, H, W] with T = `num_frames`; so is the result, in the same memory format. With fold = C // divisor,
    channels [0, fold) take the next frame, [fold, 2*fold) the previous one. A copy is made once, forward as well as
    backward; with fewer channels than `divisor` there is nothing to shift, and `x` itself comes back.
    """
    fold = x.shape[1] // divisor
    return _Shift.apply(x, num_frames, fold, True) if fold else x


class _Shift(torch.autograd.Function):
    """Autograd of plain slices would fill and add a whole tensor for each; the gradient is the shift turned round."""

    @staticmethod
    def forward(x: Tensor, num_frames: int, fold: int, next_first: bool) -> Tensor:
        return _shifted(x, num_frames, fold, next_first)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, ctx.num_frames, ctx.fold, ctx.next_first = inputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return _Shift.apply(grad, ctx.num_frames, ctx.fold, not ctx.next_first), None, None, None


def _shifted(x: Tensor, num_frames: int, fold: int, next_first: bool) -> Tensor:
    """[B*T, C, H, W]: the first `fold` channels from the next frame, the second from the previous, or the reverse."""
    out = torch.empty_like(x)
    # Splitting the first dimension is a view in every memory format, so both sides below are views [B, T, C, H, W].
    source = x.unflatten(0, (-1, num_frames))
    target = out.unflatten(0, (-1, num_frames))
    first, second = slice(0, fold), slice(fold, 2 * fold)
    from_next, from_previous = (first, second) if next_first else (second, first)
    target[:, :-1, from_next] = source[:, 1:, from_next]
    target[:, -1, from_next] = 0
    target[:, 1:, from_previous] = source[:, :-1, from_previous]
    target[:, 0, from_previous] = 0
    target[:, :, 2 * fold :] = source[:, :, 2 * fold :]
    return out


class TemporalShift(nn.Module):
    """`net` behind a temporal shift. It stands where `net` stood, so parameters are named `....net.weight`."""

    def __init__(self, net: nn.Module, divisor: int) -> None:
        super().__init__()
        self.net = net
        self.divisor = divisor

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """[B*T, C, H, W] -> what `net` makes of the shifted frames."""
        return self.net(temporal_shift(x, num_frames, self.divisor))
