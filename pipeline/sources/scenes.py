"""A segmentation set that needs no download: real handwritten digits on real photographs, both from scikit-learn.

A picture is a crop of one of its two sample photographs, darkened, with one or two bright digits on it, of the first
200 of the set: training and validation show the same digits, at other places, sizes and on other parts. The mask
follows from how the picture is made: class 0 is the photograph, class d + 1 the strokes of digit d, and their half
transparent rim is ignored.
"""

from pathlib import Path

import cv2
import numpy as np

from pipeline.base.keyed import generator
from pipeline.decode.image import encode_jpeg
from pipeline.decode.masks import IGNORED, encode_mask
from pipeline.sources.digits import enlarged, glyphs

MOST_DIGITS, DIGITS = 2, 200
LIGHT = 0.5
"""Of the photographs."""
STROKE, RIM = 0.6, 0.25
"""Of a glyph's brightness: from here on it is the digit, below that one it is the photograph."""


def draw_scenes(folder: Path, numbers: range, size_px: int) -> None:
    """Write picture i as `images/<i>.jpg` and `masks/<i>.png`, size_px x size_px, for each i in `numbers`."""
    from sklearn.datasets import load_sample_images

    photographs, (shapes, labels) = load_sample_images().images, glyphs()
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for i in numbers:
        rng = generator("digit-scenes", i)
        pixels = (_crop(photographs[rng.integers(len(photographs))], size_px, rng) * LIGHT).astype(np.uint8)
        mask = np.zeros((size_px, size_px), np.uint8)
        for _ in range(rng.integers(1, MOST_DIGITS + 1)):
            number = rng.integers(DIGITS)
            _put(pixels, mask, shapes[number], int(labels[number]) + 1, rng)
        (folder / "images" / f"{i:05d}.jpg").write_bytes(encode_jpeg(pixels, quality=95))
        (folder / "masks" / f"{i:05d}.png").write_bytes(encode_mask(mask))


def _crop(photograph: np.ndarray, size_px: int, rng: np.random.Generator) -> np.ndarray:
    """Cut a part of a photograph, uint8 [size_px, size_px, 3], enlarged where the photograph is not large enough."""
    height, width = photograph.shape[:2]
    side = min(size_px, height, width)
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    cut = photograph[top : top + side, left : left + side]
    return cut.copy() if side == size_px else cv2.resize(cut, (size_px, size_px))


def _put(pixels: np.ndarray, mask: np.ndarray, glyph: np.ndarray, label: int, rng: np.random.Generator) -> None:
    """Lay a glyph float [8, 8] over a picture and its mask, in place, of two to three fifths of the picture's side."""
    size_px = len(mask)
    side = int(rng.integers(2 * size_px // 5, 3 * size_px // 5 + 1))
    top, left = rng.integers(0, size_px - side + 1, 2)
    there = slice(top, top + side), slice(left, left + side)
    if mask[there].any():  # no digit covers another
        return
    shape = enlarged(glyph, side).astype(np.float32) / 255
    colour = rng.integers(180, 256, 3)
    pixels[there] = (pixels[there] * (1 - shape[..., None]) + colour * shape[..., None]).astype(np.uint8)
    mask[there][shape >= RIM] = IGNORED
    mask[there][shape >= STROKE] = label
