"""Masks drawn of outlines: polygons and run lengths as COCO's annotations have them.

Pixels are those that COCO's own tools (cocoapi, `maskApi.c`) give to an outline, so that figures can be compared.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.decode.limits import MAX_IMAGE_PIXELS, BadSample, check_pixels
from pipeline.decode.masks import encode_mask

FINER = 5
"""Edges are walked on a grid so many times finer than the pixels'."""

Bits = npt.NDArray[np.bool_]


def draw_mask(objects: Sequence[tuple[int, Any]], width: int, height: int) -> bytes:
    """PNG of 16 bits: the value of each object in its pixels, one over the other in their order, and 0 beside them.

    objects: (value, segmentation), the latter a list of polygons [x0, y0, x1, y1, ...] in px, or run lengths. BadSample
    for what is neither.
    """
    mask = np.zeros((height, width), np.uint16)
    for value, segmentation in objects:
        if isinstance(segmentation, Mapping):
            mask[runs(segmentation, width, height)] = value
        elif isinstance(segmentation, Sequence) and not isinstance(segmentation, str):
            for points in segmentation:
                mask[polygon(points, width, height)] = value
        else:
            raise BadSample(f"an annotation's segmentation is neither a list of polygons nor run lengths: {value}")
    return encode_mask(mask, level=1)


def pixels_of(segmentation: Any, width: int, height: int) -> npt.NDArray[np.int64]:
    """Return where an object is: places column by column, x * height + y, int64 [P]. As `draw_mask` takes them."""
    if isinstance(segmentation, Mapping):
        return np.flatnonzero(runs(segmentation, width, height).T)
    if not isinstance(segmentation, Sequence) or isinstance(segmentation, str) or not segmentation:
        raise BadSample("an object's outline is neither a list of polygons nor run lengths")
    return np.flatnonzero(np.logical_or.reduce([polygon(points, width, height) for points in segmentation]).T)


def encode_runs(bits: Bits, left: int = 0, top: int = 0, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """Return COCO's run lengths of a mask bool [h, w] at (left, top) of a picture of `size` (H, W), by default its own.

    >>> encode_runs(np.array([[False, True], [False, True]]))
    {'size': [2, 2], 'counts': '22'}
    """
    height, width = size or bits.shape
    x, y = np.nonzero(bits.T)
    places = (x + left) * height + y + top
    begins = np.flatnonzero(np.diff(places, prepend=-2) != 1)
    ends = np.append(begins[1:], len(places))
    edges = np.stack([places[begins], places[ends - 1] + 1], 1).ravel() if len(places) else places
    lengths = np.diff(np.concatenate([[0], edges, [height * width]]))
    return {"size": [height, width], "counts": _written(lengths.tolist())}


def row_runs(bits: Bits) -> list[int]:
    """Return run lengths along the rows of a mask bool [h, w], of pixels outside and inside in turn, as CVAT has them.

    >>> row_runs(np.array([[True, True], [False, True]]))
    [0, 2, 1, 1]
    """
    flat = bits.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    return np.diff([0, *edges, flat.size]).tolist()


def row_bits(lengths: Sequence[int], width: int, height: int) -> Bits:
    """Undo it, bool `[h, w]`. BadSample for run lengths that do not add up."""
    check_pixels(width, height, MAX_IMAGE_PIXELS)
    if min(lengths, default=0) < 0 or sum(lengths) != width * height:
        raise BadSample(f"run lengths do not add up to the {width * height:,} pixels of a box of {width} x {height}")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(height, width)


def traced(bits: Bits, left: int = 0, top: int = 0) -> list[list[float]]:
    """Return polygons x0, y0, x1, y1, ... in px around the parts of a mask bool [h, w] at (left, top); without holes.

    They go through the middle of the outermost pixels; parts of less than three of these corners have none.
    """
    contours, _ = cv2.findContours(bits.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = [contour[:, 0] + np.array([left + 0.5, top + 0.5]) for contour in contours if len(contour) > 2]
    return [points.ravel().tolist() for points in corners]


def polygon(points: Sequence[float], width: int, height: int) -> Bits:
    """Fill a polygon, bool `[H, W]`. BadSample for one of fewer than three points."""
    try:
        corners = np.array(points, np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        raise BadSample("a polygon is no list of x0, y0, x1, y1, ...") from None
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise BadSample(f"a polygon has {len(corners)} points, or some that are no numbers")
    far = FINER * 4 * (max(width, height) + 1)  # what lies further off is outside, however far
    u, v = _walk(np.clip(np.trunc(FINER * corners + 0.5), -far, far).astype(np.int64))
    # Where the walk goes to another column of the fine grid it may cross the centre line of a column of pixels.
    step = np.flatnonzero(np.diff(u)) + 1
    column = (np.where(u[step] < u[step - 1], u[step], u[step] - 1) + 0.5) / FINER - 0.5
    crosses = (column == np.floor(column)) & (column >= 0) & (column <= width - 1)
    row = (np.minimum(v[step], v[step - 1]) + 0.5) / FINER - 0.5
    row = np.ceil(np.clip(row, 0, height)).astype(np.int64)
    at = column[crosses].astype(np.int64) * height + row[crosses]
    inside = np.zeros(width * height, np.bool_)
    if at.size:
        # Below each crossing of a column, what was outside is inside, and what was inside is outside.
        first, end = int(at.min()), int(at.max())
        inside[first:end] = np.cumsum(np.bincount(at - first))[: end - first] % 2 == 1
    return inside.reshape(width, height).T


def _walk(corners: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """List the points of the fine grid from corner to corner, back to the first, one a step on the longer side."""
    x0, y0 = corners.T
    x1, y1 = np.roll(corners, -1, axis=0).T
    flat = np.abs(x1 - x0) >= np.abs(y1 - y0)
    length = np.maximum(np.abs(x1 - x0), np.abs(y1 - y0))
    backwards = np.where(flat, x0 > x1, y0 > y1)  # edges start at their smaller end, so that both ways give the same
    x, y = np.where(backwards, x1, x0), np.where(backwards, y1, y0)
    slope = np.where(flat, y1 - y0, x1 - x0) * np.where(backwards, -1, 1) / np.maximum(length, 1)
    edge = np.repeat(np.arange(len(corners)), length + 1)
    t = np.arange(len(edge)) - np.repeat(np.cumsum(length + 1) - length - 1, length + 1)
    t = np.where(backwards[edge], length[edge] - t, t)
    along = np.where(flat, x, y)[edge] + t
    other = np.trunc(np.where(flat, y, x)[edge] + slope[edge] * t + 0.5).astype(np.int64)
    return np.where(flat[edge], along, other), np.where(flat[edge], other, along)


def runs(segmentation: Mapping[str, Any], width: int, height: int) -> Bits:
    """Expand run lengths, bool `[H, W]`: `counts` down the columns, of pixels outside and inside in turn.

    BadSample for those of another size, or that do not add up.
    """
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise BadSample(f"run lengths are of height and width {size}, and the picture has {height} and {width}")
    try:
        lengths = np.array(_letters(counts) if isinstance(counts, str) else counts, np.int64)
    except (TypeError, ValueError, OverflowError):
        raise BadSample("run lengths are neither numbers nor COCO's letters") from None
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != width * height:
        raise BadSample(f"run lengths do not add up to the {width * height:,} pixels of the picture")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(width, height).T


def _written(lengths: Sequence[int]) -> str:
    """Undo `_letters`."""
    letters = []
    for i, length in enumerate(lengths):
        value, more = length - (lengths[i - 2] if i > 2 else 0), True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            letters.append(chr(48 + bits + 32 * more))
    return "".join(letters)


def _letters(text: str) -> list[int]:
    """Run lengths out of COCO's letters: 5 bits each from 48 on, a sixth where more follow, the lower bits first.

    From the fourth on each is the difference to the last but one.
    """
    found: list[int] = []
    value = shift = 0
    for code in text.encode("ascii"):
        bits = code - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(text)
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        found.append(value + (found[-2] if len(found) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError(text)
    return found
