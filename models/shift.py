"""The temporal shift (Lin et al. 2019, "TSM: temporal shift module for efficient video understanding", section 3).

Some channels of every frame come from the next frame, some from the previous one, the others stay: neighbouring
frames mix without parameters or arithmetic. Frames beyond the clip's ends are zeros.

What it costs is memory traffic. Training copies the shifted frames once, and again for the gradient, because both the
shifted and the plain frames are needed later. Inference on CPU moves only the channels that move, in place, and puts
them back: half the traffic, no other memory.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.shift_moves import Direction, Moves, shift_moves, spans
from models.traced import is_traced
from pipeline.base.errors import ZoetropeError


def temporal_shift(x: Tensor, num_frames: int, divisor: int, direction: Direction = "both") -> Tensor:
    """Shift 1/divisor of the channels one frame to the left and as many one frame to the right; see `shift_moves`.

    `x` is [B*T, C, H, W] with T = `num_frames`; so is the result, in the same memory format. A copy is made once,
    forward as well as backward; with fewer channels than `divisor` there is nothing to shift: `x` itself comes back.
    """
    moves = shift_moves(x.shape[1], divisor, direction)
    if not moves:
        return x
    return _joined(x, num_frames, moves) if is_traced() else _Shift.apply(x, num_frames, moves)


@contextmanager
def shifted_in_place(x: Tensor, num_frames: int, divisor: int, direction: Direction = "both") -> Iterator[None]:
    """Shift in place: inside, `x` is what `temporal_shift` would return; afterwards it is as it was.

    See `can_shift_in_place`.
    """
    moves = shift_moves(x.shape[1], divisor, direction)
    moving = max((last for offset, _, last in moves if offset), default=0)
    # A slice of channels-last frames would be copied to another layout if it were only cloned.
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    saved = x[:, :moving].clone(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    try:
        _move([move for move in moves if move[0]], num_frames, saved, x)
        yield
    finally:
        x[:, :moving] = saved


def can_shift_in_place(x: Tensor) -> bool:
    """Tell whether nobody but the caller can need `x` meanwhile, and it was measured to be quicker: on CPU, not on
    GPUs.

    A compiler would copy all of `x` to keep its graph free of such changes.
    """
    if torch.compiler.is_compiling() or x.device.type != "cpu" or torch.is_grad_enabled() or x.requires_grad:
        return False
    dense = x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)
    writable = torch.is_inference_mode_enabled() or not x.is_inference()
    return dense and writable


def _move(moves: Sequence[tuple[int, int, int]], num_frames: int, source: Tensor, target: Tensor) -> None:
    """Write the channels that `moves` names into `target`; both tensors are [B*T, C, H, W]."""
    # Splitting the first dimension is a view in every memory format, so both sides are views [B, T, C, H, W].
    source, target = source.unflatten(0, (-1, num_frames)), target.unflatten(0, (-1, num_frames))
    for offset, first, last in moves:
        receiving, received = spans(offset, num_frames)
        target[:, receiving, first:last] = source[:, received, first:last]
        if offset:
            target[:, -1 if offset > 0 else 0, first:last] = 0


def _joined(x: Tensor, num_frames: int, moves: Moves) -> Tensor:
    """Put the shifted [B*T, C, H, W] together of slices, with nothing written in place."""
    clips = x.unflatten(0, (-1, num_frames))
    parts = []
    for offset, first, last in moves:
        _, received = spans(offset, num_frames)
        part = clips[:, received, first:last]
        parts.append(functional.pad(part, (0, 0) * 3 + (max(0, -offset), max(0, offset))) if offset else part)
    return torch.cat(parts, 2).flatten(0, 1)


class _Shift(torch.autograd.Function):
    """Autograd of plain slices would fill and add a whole tensor for each; the gradient is the shift turned round."""

    @staticmethod
    def forward(x: Tensor, num_frames: int, moves: Moves) -> Tensor:
        out = torch.empty_like(x)
        _move(moves, num_frames, x, out)
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

    Hooks of `net` see its input shifted; in inference on CPU it is put back when `net` is done, so keep a copy of it.
    """

    def __init__(self, net: nn.Module, divisor: int, direction: Direction = "both") -> None:
        super().__init__()
        self.net = net
        self.divisor = divisor
        self.direction: Direction = direction

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """Map [B*T, C, H, W] -> what `net` makes of the shifted frames."""
        if can_shift_in_place(x):
            with shifted_in_place(x, num_frames, self.divisor, self.direction):
                return self.net(x)
        return self.net(temporal_shift(x, num_frames, self.divisor, self.direction))

    def step(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run one frame of an endless clip, for direction "past": [B, C, H, W] -> (what `net` makes of it, next
        `past`).

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
