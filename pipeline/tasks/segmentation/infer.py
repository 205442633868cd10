"""How a picture is segmented: as a whole or in tiles, at several scales, mirrored.

Pure functions of a model, any callable that makes of pixels float [n, 3, H, W] logits [n, K, h, w], or a tuple whose
first they are. Each gives probabilities float32 [n, K, H, W].

margin_px: what a model without padding leaves out at each side (Ronneberger et al. 2015: 92); else 0. Logits are of
the input less its margin; smaller ones are enlarged, bilinear.
fit: the next valid side of an input, in px; of the unpadded U-Net 16 p + 60.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.base.errors import ZoetropeError

Model = Callable[[Tensor], Any]
Fit = Callable[[int], int]
Cut = tuple[slice, slice]


def any_side(px: int) -> int:
    """`fit` of a model that takes every size."""
    return px


@dataclass(frozen=True)
class Options:
    """How `probabilities` does it."""

    tile_px: int | None = None
    """Side of a tile, see `tiled`; None: pictures go through the model as a whole."""
    overlap_px: int | None = None
    """By default an eighth of a tile, and none for a model that has a margin."""
    scales: Sequence[float] = (1.0,)
    flip: bool = False
    margin_px: int = 0
    fit: Fit = any_side


def probabilities(model: Model, x: Tensor, options: Options) -> Tensor:
    """Segment pictures as the options say: each scale is mirrored, each of these is cut into tiles."""
    answer = partial(whole, model, margin_px=options.margin_px, fit=options.fit)
    if options.tile_px is not None:
        usual_px = 0 if options.margin_px else options.tile_px // 8
        overlap_px = usual_px if options.overlap_px is None else options.overlap_px
        answer = partial(tiled, model, tile_px=options.tile_px, overlap_px=overlap_px, **answer.keywords)
    if options.flip:
        answer = partial(flip, answer)
    return scales(answer, x, options.scales)


def whole(model: Model, x: Tensor, margin_px: int = 0, fit: Fit = any_side) -> Tensor:
    """Segment pictures as a whole: mirrored at their borders by the margin and up to a valid size, then cropped."""
    height, width = x.shape[2:]
    return _seen(model, _padded(x, margin_px, fit), margin_px)[..., :height, :width]


def tiled(
    model: Model,
    x: Tensor,
    tile_px: int,
    overlap_px: int,
    margin_px: int = 0,
    fit: Fit = any_side,
    stride_px: int = 32,
) -> Tensor:
    """Segment pictures of any size in the memory of a tile (overlap-tile strategy, Ronneberger et al. 2015, fig. 2).

    tile_px: side of what the model sees, raised to a valid one. overlap_px: what it sees at each side of a tile and
    what is not kept, beside its margin. stride_px: tiles begin at multiples of it; the network's stride should divide
    it. The answer lies on the CPU.

    The same as `whole`, up to rounding, where a pixel of the answer depends on no pixel further away than the overlap.
    A network that pools globally (squeeze and excitation, the pyramid of PSPNet, the image pooling of DeepLab v3) sees
    another mean in each tile, so that no overlap makes them equal. ZoetropeError for a tile that would keep nothing.
    """
    height, width = x.shape[2:]
    padded = _padded(x, margin_px, fit)
    tile_px = fit(tile_px)
    step_px = (tile_px - 2 * (margin_px + overlap_px)) // stride_px * stride_px
    if step_px < stride_px:
        raise ZoetropeError(
            f"evaluate.tile: a tile of {tile_px} px has less than {stride_px} px that are kept, beside the overlap of "
            f"{overlap_px} px and the model's margin of {margin_px} px at each side; set evaluate.tile to "
            f"{stride_px + 2 * (margin_px + overlap_px)} or more, or lower evaluate.overlap"
        )
    rows, columns = (_cuts(side, tile_px, step_px, stride_px, margin_px, overlap_px) for side in padded.shape[2:])
    out: Tensor | None = None
    for seen_y, kept_y in rows:
        for seen_x, kept_x in columns:
            found = _seen(model, padded[..., seen_y, seen_x], margin_px)
            if out is None:
                out = torch.empty(len(x), found.shape[1], *(side - 2 * margin_px for side in padded.shape[2:]))
            inner = found[..., _moved(kept_y, seen_y.start), _moved(kept_x, seen_x.start)]
            out[..., kept_y, kept_x] = inner.cpu()
    assert out is not None
    return out[..., :height, :width]


def flip(answer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Answer by the mean of what is said of pictures and of their mirror images."""
    return (answer(x) + answer(x.flip(-1)).flip(-1)) / 2


def scales(answer: Callable[[Tensor], Tensor], x: Tensor, factors: Sequence[float]) -> Tensor:
    """Answer by the mean over pictures that are enlarged by each factor (multi-scale inference, MSC).

    Pixels and probabilities are resized bilinearly, with pixel centres at 1/2 (`align_corners=False`). DeepLab v2
    (Chen et al. 2017, section 4.1.2) takes the largest score over the scales, position by position; later ones (DeepLab
    v3, section 4.1) take the mean, as this does.
    """
    size = list(x.shape[2:])
    total: Tensor | None = None
    for factor in factors:
        there = [max(1, round(side * factor)) for side in size]
        found = _resized(answer(_resized(x, there)), size)
        total = found if total is None else total + found
    assert total is not None
    return total / len(factors)


def _resized(x: Tensor, size: Sequence[int]) -> Tensor:
    same = list(x.shape[2:]) == list(size)
    return x if same else interpolate(x, list(size), mode="bilinear", align_corners=False)


def _seen(model: Model, x: Tensor, margin_px: int) -> Tensor:
    """One forward: probabilities of the input less its margin."""
    out = model(x)
    logits = (out[0] if isinstance(out, tuple) else out).float()
    return _resized(logits, [side - 2 * margin_px for side in x.shape[2:]]).softmax(1)


def _padded(x: Tensor, margin_px: int, fit: Fit) -> Tensor:
    """Mirror the picture as often as it takes: the margin around it, the rest below and right."""
    if not margin_px and all(fit(side) == side for side in x.shape[2:]):
        return x
    rows, columns = (
        _mirrored(side, margin_px, fit(side + 2 * margin_px) - margin_px - side, x.device) for side in x.shape[2:]
    )
    return x[:, :, rows[:, None], columns]


def _mirrored(side: int, before: int, after: int, device: torch.device) -> Tensor:
    """Tell which of `side` pixels stands where; those at the border are not repeated: 2 1 | 0 1 2 | 1 0 1 2 1."""
    period = max(2 * (side - 1), 1)
    place = torch.arange(-before, side + after, device=device) % period
    return torch.minimum(place, period - place).clamp_max(side - 1)


def _cuts(side_px: int, tile_px: int, step_px: int, stride_px: int, margin_px: int, overlap_px: int) -> list[Cut]:
    """List what each tile along a side sees of the padded picture, and keeps of the answer; place 0 is at the margin.

    The first tile keeps what reaches to the picture's border, and so does the last, which may be smaller.
    """
    last = max(0, -(-(side_px - tile_px) // stride_px) * stride_px)
    starts = [*range(0, last, step_px), last]
    bounds = [0, *(start + overlap_px for start in starts[1:]), side_px - 2 * margin_px]
    seen = [slice(start, min(start + tile_px, side_px)) for start in starts]
    return list(zip(seen, (slice(*ends) for ends in pairwise(bounds)), strict=True))


def _moved(cut: slice, by: int) -> slice:
    return slice(cut.start - by, cut.stop - by)
