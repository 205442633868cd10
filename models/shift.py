"""The temporal shift (Lin et al. 2019, "TSM: temporal shift module for efficient video understanding", section 3).

Some channels of every frame come from the next frame, some from the previous one, the others stay: neighbouring
frames mix at the price of a copy and no arithmetic. Frames beyond the clip's ends are zeros.
"""

from typing import Any

import torch
from torch import Tensor, nn

from models.shift_moves import Direction, Moves, shift_moves, spans
from models.shifted_conv import can_fuse, shifted_conv1x1
from pipeline.base.errors import ZoetropeError


def temporal_shift(x: Tensor, num_frames: int, divisor: int, direction: Direction = "both") -> Tensor:
    """Shift 1/divisor of the channels one frame to the left and as many one frame to the right; see `shift_moves`.

    `x` is [B*T, C, H, W] with T = `num_frames`; so is the result, in the same memory format. A copy is made once,
    forward as well as backward; with fewer channels than `divisor` there is nothing to shift: `x` itself comes back.
    """
    moves = shift_moves(x.shape[1], divisor, direction)
    return _Shift.apply(x, num_frames, moves) if moves else x


class _Shift(torch.autograd.Function):
    """Autograd of plain slices would fill and add a whole tensor for each; the gradient is the shift turned round."""

    @staticmethod
    def forward(x: Tensor, num_frames: int, moves: Moves) -> Tensor:
        out = torch.empty_like(x)
        # Splitting the first dimension is a view in every memory format, so both sides are views [B, T, C, H, W].
        source, target = x.unflatten(0, (-1, num_frames)), out.unflatten(0, (-1, num_frames))
        for offset, first, last in moves:
            receiving, received = spans(offset, num_frames)
            target[:, receiving, first:last] = source[:, received, first:last]
            if offset:
                target[:, -1 if offset > 0 else 0, first:last] = 0
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, ctx.num_frames, ctx.moves = inputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        turned = tuple((-offset, first, last) for offset, first, last in ctx.moves)
        return _Shift.apply(grad, ctx.num_frames, turned), None, None


class TemporalShift(nn.Module):
    """`net` behind a temporal shift. It stands where `net` stood, so parameters are named `....net.weight`.

    Where `net` is a 1x1 convolution and `can_fuse` allows it, nothing is moved: the convolution reads the frames
    where they lie (`models.shifted_conv`), and forward hooks of `net` itself are not called.
    """

    def __init__(self, net: nn.Module, divisor: int, direction: Direction = "both") -> None:
        super().__init__()
        self.net = net
        self.divisor = divisor
        self.direction: Direction = direction

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """[B*T, C, H, W] -> what `net` makes of the shifted frames."""
        if type(self.net) is nn.Conv2d and can_fuse(x, self.net):
            moves = shift_moves(x.shape[1], self.divisor, self.direction)
            if moves:
                return shifted_conv1x1(x, self.net.weight, num_frames, moves)
        return self.net(temporal_shift(x, num_frames, self.divisor, self.direction))

    def step(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """One frame of an endless clip, for direction "past": [B, C, H, W] -> (what `net` makes of it, next `past`).

        `past` is what the last step returned, [B, C // divisor, H, W]; None before the first frame.
        ZoetropeError when it belongs to frames of another size.
        """
        moving = x[:, : x.shape[1] // self.divisor]
        if past is None:
            past = torch.zeros_like(moving)
        if past.shape != moving.shape:
            raise ZoetropeError(
                f"the state is one of {tuple(past.shape)}, these frames need {tuple(moving.shape)}; "
                "a new clip, batch size or frame size starts with state=None"
            )
        return self.net(torch.cat((past, x[:, moving.shape[1] :]), dim=1)), moving.clone()  # a view would keep all of x
