"""A temporal shift and the 1x1 convolution behind it as matrix products over the frames where they lie.

A 1x1 convolution is a matrix product over channels, so it splits by channels: the shifted convolution of frame t is
`W_next x[t+1] + W_previous x[t-1] + W_stay x[t]`, each over its own channels. These are three products over views
offset by a frame: no element moves, and training keeps no shifted copy for the backward pass.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.shift_moves import Moves, spans

# Of results that are added to again, a core; half of what a second-level cache holds.
CACHE_BYTES = 1 << 19


def can_fuse(x: Tensor, conv: nn.Conv2d) -> bool:
    """Whether `shifted_conv1x1` does the work of `conv`, a shift before it, and was measured to do it faster.

    Measured: on CPU in float32, for inference in both memory formats, for training in channels-last, and where
    `conv` does not widen the frames (MobileNetV2's expansions: there the copy is the smaller part). A compiler fuses
    the copy itself, and GPUs keep the copy, for want of a measurement.
    """
    if conv.kernel_size != (1, 1) or conv.stride != (1, 1) or conv.padding != (0, 0) or conv.groups != 1:
        return False
    if conv.out_channels > conv.in_channels:
        return False
    if conv.bias is not None or x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        return False
    if conv.weight.dtype != x.dtype or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return False
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    trains = torch.is_grad_enabled() and (x.requires_grad or conv.weight.requires_grad)
    return channels_last or (x.is_contiguous() and not trains)


def shifted_conv1x1(x: Tensor, weight: Tensor, num_frames: int, moves: Moves) -> Tensor:
    """[B*T, C, H, W], weight [O, C, 1, 1] -> [B*T, O, H, W] in the memory format of `x`.

    `moves` are those of `shift_moves`, not empty. For a gradient `x` must be channels-last.
    """
    return _ShiftedConv1x1.apply(x, weight, num_frames, moves)


class _ShiftedConv1x1(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, num_frames: int, moves: Moves) -> Tensor:
        channels_last = x.is_contiguous(memory_format=torch.channels_last)
        out = torch.empty(
            (x.shape[0], weight.shape[0], *x.shape[2:]),
            dtype=x.dtype,
            device=x.device,
            memory_format=torch.channels_last if channels_last else torch.contiguous_format,
        )
        # [B, T, H*W, channels], views in both memory formats.
        pixels, results = (_pixels(y).unflatten(0, (-1, num_frames)) for y in (x, out))
        kernel = weight.flatten(1).t()
        # Few frames at a time, so that their results are still in the cache when the next product adds to them.
        # Without channels-last, frames are matrices of their own, and have to go one by one.
        frame_bytes = results[0, 0].numel() * out.element_size() if len(x) else 1
        step = max(1, torch.get_num_threads() * CACHE_BYTES // frame_bytes) if channels_last else 1
        for clip_pixels, clip_results in zip(pixels, results, strict=True):
            for start in range(0, num_frames, step):
                _add_products(clip_pixels, clip_results, kernel, moves, start, min(start + step, num_frames))
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, ctx.num_frames, ctx.moves = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        by_x, by_weight, _, _ = ctx.needs_input_grad
        # [B, T, H*W, channels]: a clip's frames and pixels one after another, so a span of frames is one matrix.
        grads = _pixels(grad.contiguous(memory_format=torch.channels_last)).unflatten(0, (-1, ctx.num_frames))
        pixels = _pixels(x).unflatten(0, (-1, ctx.num_frames))
        grad_x = grad_weight = None
        if by_x:
            rows = _grad_of_input(grads, weight, ctx.moves)
            grad_x = rows.view(x.shape[0], *x.shape[2:], x.shape[1]).permute(0, 3, 1, 2)
        if by_weight:
            grad_weight = _grad_of_weight(grads, pixels, ctx.moves).view_as(weight)
        return grad_x, grad_weight, None, None


def _add_products(pixels: Tensor, results: Tensor, kernel: Tensor, moves: Moves, start: int, stop: int) -> None:
    """[T, P, C], kernel [C, O] -> frames [start, stop) of `results` [T, P, O], which need not be initialised."""
    (_, first, last), *moving = reversed(moves)
    torch.mm(pixels[start:stop, :, first:last].flatten(0, 1), kernel[first:last], out=results[start:stop].flatten(0, 1))
    for offset, first, last in moving:
        begin, end = max(start, -offset), min(stop, len(pixels) - offset)
        if begin < end:
            result = results[begin:end].flatten(0, 1)
            rows = pixels[begin + offset : end + offset, :, first:last].flatten(0, 1)
            torch.addmm(result, rows, kernel[first:last], out=result)


def _pixels(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, H*W, C], a view in both memory formats."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _grad_of_input(grads: Tensor, weight: Tensor, moves: Moves) -> Tensor:
    """[B, T, P, O] -> [B, T, P, C]. One product for all channels; only the few that had moved are moved back."""
    out = grads @ weight.flatten(1)
    for offset, first, last in moves:
        if offset:
            receiving, received = spans(offset, grads.shape[1])
            out[:, received, :, first:last] = out[:, receiving, :, first:last].clone()
            out[:, 0 if offset > 0 else -1, :, first:last] = 0
    return out


def _grad_of_weight(grads: Tensor, pixels: Tensor, moves: Moves) -> Tensor:
    """[B, T, P, O], [B, T, P, C] -> [O, C], made transposed: few channels are quick as rows and slow as columns."""
    out = grads.new_zeros(pixels.shape[3], grads.shape[3])
    for offset, first, last in moves:
        if not offset:
            out[first:last] = pixels[..., first:last].flatten(0, 2).t() @ grads.flatten(0, 2)
            continue
        receiving, received = spans(offset, grads.shape[1])
        for clip_grads, clip_pixels in zip(grads[:, receiving], pixels[:, received, :, first:last], strict=True):
            out[first:last].addmm_(clip_pixels.flatten(0, 1).t(), clip_grads.flatten(0, 1))
    return out.t().contiguous()
