"""How objects are found in pictures: as a whole or in tiles, at several scales, mirrored; all answers are one list.

`Found` are tensors [n, D, ...]: boxes float [n, D, 4] in px of what was looked at, score float [n, D], kind int64
[n, D], -1 and 0 in empty places; the highest score first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from models.ops.boxes import clipped
from models.ops.nms import nms

if TYPE_CHECKING:
    from pipeline.recipe.evaluate import Evaluate

Found = dict[str, Tensor]
Find = Callable[[Tensor], Found]
"""Of pixels float [n, 3, H, W] as the model gets them."""


@dataclass(frozen=True)
class Options:
    """How `find` does it."""

    most: int = 100
    overlap: float = 0.5
    """IoU from which on two answers of one class are of the same object."""
    tile_px: int | None = None
    tile_overlap_px: int = 0
    scales: Sequence[float] = (1.0,)
    flip: bool = False

    @property
    def plain(self) -> bool:
        """Whether the model looks once, at the whole picture."""
        return self.tile_px is None and tuple(self.scales) == (1.0,) and not self.flip


def find(once: Find, x: Tensor, options: Options) -> Found:
    """Find objects in pictures [n, 3, H, W] as the options say: each scale, mirrored too, each of these in tiles."""
    if options.plain:
        return once(x)
    found = []
    for scale in options.scales:
        size = [max(1, round(side * scale)) for side in x.shape[2:]]
        scaled = x if scale == 1 else interpolate(x, size, mode="bilinear", align_corners=False, antialias=scale < 1)
        back = x.new_tensor([x.shape[3] / size[1], x.shape[2] / size[0]]).repeat(2)
        for mirrored in (False, True)[: 1 + options.flip]:
            found += [
                one | {"boxes": one["boxes"] * back}
                for one in _tiles(once, scaled.flip(3) if mirrored else scaled, mirrored, options)
            ]
    return merged(found, options.most, options.overlap)


def _tiles(once: Find, x: Tensor, mirrored: bool, options: Options) -> list[Found]:
    height, width = x.shape[2:]
    found = []
    for top in starts(height, options.tile_px, options.tile_overlap_px):
        for left in starts(width, options.tile_px, options.tile_overlap_px):
            side = options.tile_px or max(height, width)
            one = once(x[:, :, top : top + side, left : left + side])
            boxes = one["boxes"] + x.new_tensor([left, top]).repeat(2)
            if mirrored:
                boxes = torch.stack([width - boxes[..., 2], boxes[..., 1], width - boxes[..., 0], boxes[..., 3]], -1)
                one |= {"masks": one["masks"].flip(3)} if "masks" in one else {}
            found.append(one | {"boxes": boxes})
    return found


def starts(length: int, tile_px: int | None, overlap_px: int) -> list[int]:
    """Return where tiles begin along a side: spread evenly, so that neighbours share at least `overlap_px`.

    >>> starts(1000, 400, 100)
    [0, 300, 600]
    >>> starts(300, 400, 100)
    [0]
    """
    if tile_px is None or length <= tile_px:
        return [0]
    rest, step = length - tile_px, tile_px - overlap_px
    count = -(-rest // step)
    return [rest * i // count for i in range(count + 1)]


def merged(found: Sequence[Mapping[str, Tensor]], most: int, overlap: float) -> Found:
    """Join lists of the same pictures: of those of one class that overlap, the highest score stays; the best `most`."""
    whole = {name: torch.cat([one[name] for one in found], 1) for name in found[0] if found[0][name].dim() > 1}
    boxes, score, kind = (whole[name] for name in ("boxes", "score", "kind"))
    empty = {"kind": -1}
    made = {
        name: value.new_full((len(value), most, *value.shape[2:]), empty.get(name, 0)) for name, value in whole.items()
    }
    for i in range(len(boxes)):
        there = (kind[i] >= 0).nonzero()[:, 0]
        kept = there[nms(boxes[i][there], score[i][there], overlap, kind[i][there])[:most]]
        for name, value in whole.items():
            made[name][i, : len(kept)] = value[i][kept]
    return made


def looks(how: "Evaluate | None") -> Options:
    """Return the options that a recipe's `evaluate` asks for; None looks once."""
    if how is None:
        return Options()
    overlap_px = (how.tile or 0) // 4 if how.overlap is None else how.overlap
    return Options(how.max_detections, Options.overlap, how.tile, overlap_px, how.scales, how.flip)


def restored(boxes: Tensor, frame: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring boxes [n, D, 4] of a view back to its file of `size` (H, W) px, by its frame float [2, 3].

    A box that was turned gives the smallest one around it. What lies outside of the file is cut off.
    """
    inverse = frame[:, :2].double().inverse()
    corners = torch.stack([boxes[..., [0, 1]], boxes[..., [2, 1]], boxes[..., [0, 3]], boxes[..., [2, 3]]], -2)
    there = (corners.double() - frame[:, 2].double()) @ inverse.T
    low, high = there.amin(-2), there.amax(-2)
    return clipped(torch.cat([low, high], -1), size).to(boxes.dtype)
