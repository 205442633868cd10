"""How a picture is restored: as a whole or in tiles, perhaps turned and mirrored in all eight ways.

Pure functions of a model, any callable that makes of float [n, 3, H, W] a picture [n, 3, scale H, scale W].
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from pipeline.base.errors import ZoetropeError

Model = Callable[[Tensor], Tensor]


def restore(model: Model, x: Tensor, tile_px: int | None, overlap_px: int, ensemble: bool) -> Tensor:
    """Restore pictures as `evaluate` says; every one of the eight ways is cut into tiles."""
    answer = model if tile_px is None else partial(tiled, model, tile_px=tile_px, overlap_px=overlap_px)
    return eight_ways(answer, x) if ensemble else answer(x)


def tiled(model: Model, x: Tensor, tile_px: int, overlap_px: int) -> Tensor:
    """Restore pictures of any size in the memory of a tile, whose side is `tile_px`.

    Of each tile what lies `overlap_px` or more from its edges is kept, or reaches to the picture's border. The same as
    of the whole picture, up to rounding, where a pixel of the answer depends on no pixel further away than the overlap.
    ZoetropeError for a tile that would keep nothing.
    """
    step = tile_px - 2 * overlap_px
    if step < 1:
        raise ZoetropeError(
            f"evaluate.tile: a tile of {tile_px} px keeps nothing beside an overlap of {overlap_px} px at each side, "
            f"over which the model reaches; set it to {4 * overlap_px} or so, or evaluate.overlap to less"
        )
    out: Tensor | None = None
    height, width = x.shape[2:]
    for top in range(0, height, step):
        for left in range(0, width, step):
            y0, x0 = max(0, top - overlap_px), max(0, left - overlap_px)
            tile = x[..., y0 : top + step + overlap_px, x0 : left + step + overlap_px]
            found = model(tile)
            scale = found.shape[2] // tile.shape[2]
            if out is None:
                out = found.new_empty(*found.shape[:2], scale * height, scale * width)
            kept = found[..., scale * (top - y0) :, scale * (left - x0) :][..., : scale * step, : scale * step]
            rows, columns = scale * top, scale * left
            out[..., rows : rows + kept.shape[2], columns : columns + kept.shape[3]] = kept
    assert out is not None
    return out


def eight_ways(answer: Model, x: Tensor) -> Tensor:
    """Answer by the mean over what is said of a picture turned by quarters and mirrored (Timofte et al. 2016,
    section 3.3; "self-ensemble" in EDSR, section 3.4).
    """
    total: Tensor | None = None
    for mirrored in (False, True):
        for quarters in range(4):
            seen = torch.rot90(x.flip(-1) if mirrored else x, quarters, (2, 3))
            found = torch.rot90(answer(seen), -quarters, (2, 3))
            found = found.flip(-1) if mirrored else found
            total = found if total is None else total + found
    assert total is not None
    return total / 8
