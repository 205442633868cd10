"""Sets that need no download: real handwritten digits on real photographs, both from scikit-learn.

A picture is a crop of one of its two sample photographs, darkened, with one or two bright digits on it, of the first
200 of the set: training and validation show the same digits, at other places, sizes and on other parts. The mask
follows from how the picture is made: class 0 is the photograph, class d + 1 the strokes of digit d, and their half
transparent rim is ignored. `draw_objects` writes boxes instead, around the strokes of one to four smaller digits, and
`draw_instances` a mask of each.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from pipeline.base.keyed import generator
from pipeline.decode.image import encode_jpeg
from pipeline.decode.masks import IGNORED, encode_mask
from pipeline.sources.digits import enlarged, glyphs

MOST_DIGITS, MOST_OBJECTS, DIGITS = 2, 4, 200
LIGHT = 0.5
"""Of the photographs."""
SCENE_SIDES, OBJECT_SIDES = (2 / 5, 3 / 5), (1 / 5, 2 / 5)
"""Of a digit, as shares of the picture's side."""
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
        pixels = (crop(photographs[rng.integers(len(photographs))], size_px, rng) * LIGHT).astype(np.uint8)
        mask = np.zeros((size_px, size_px), np.uint8)
        for _ in range(rng.integers(1, MOST_DIGITS + 1)):
            number = rng.integers(DIGITS)
            _put(pixels, mask, shapes[number], int(labels[number]) + 1, SCENE_SIDES, rng)
        (folder / "images" / f"{i:05d}.jpg").write_bytes(encode_jpeg(pixels, quality=95))
        (folder / "masks" / f"{i:05d}.png").write_bytes(encode_mask(mask))


def draw_objects(folder: Path, numbers: range, size_px: int) -> None:
    """Write picture i as `images/<i>.jpg` and its digits' boxes as `labels/<i>.txt`, as YOLO has them."""
    for i, _, digits in _with_objects(folder, numbers, size_px):
        lines = []
        for digit, box in digits:
            x0, y0, x1, y1 = (edge / size_px for edge in box)
            numbers_of = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
            lines.append(" ".join([str(digit), *(f"{value:.6f}" for value in numbers_of)]) + "\n")
        (folder / "labels" / f"{i:05d}.txt").write_text("".join(lines))


def draw_instances(folder: Path, numbers: range, size_px: int) -> None:
    """Write the same pictures, and their digits' strokes as `labels/<i>.json`, as LabelMe has masks."""
    for i, mask, digits in _with_objects(folder, numbers, size_px):
        shapes = []
        for number, (digit, (x0, y0, x1, y1)) in enumerate(digits, 1):
            strokes = encode_mask((mask[y0:y1, x0:x1] == number).astype(np.uint8))
            corners = [[x0, y0], [x1 - 1, y1 - 1]]
            png = base64.b64encode(strokes).decode()
            shapes.append({"label": str(digit), "points": corners, "shape_type": "mask", "mask": png})
        said = {"shapes": shapes, "imageWidth": size_px, "imageHeight": size_px}
        (folder / "labels" / f"{i:05d}.json").write_text(json.dumps(said))


def _with_objects(
    folder: Path, numbers: range, size_px: int
) -> Iterator[tuple[int, np.ndarray, list[tuple[int, tuple[int, int, int, int]]]]]:
    """Write pictures, and yield of each its number, a mask of digits from 1 on, and what they are and their boxes."""
    from sklearn.datasets import load_sample_images

    photographs, (shapes, labels) = load_sample_images().images, glyphs()
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for i in numbers:
        rng = generator("digit-objects", i)
        pixels = (crop(photographs[rng.integers(len(photographs))], size_px, rng) * LIGHT).astype(np.uint8)
        mask = np.zeros((size_px, size_px), np.uint8)
        digits: list[tuple[int, tuple[int, int, int, int]]] = []
        for _ in range(rng.integers(1, MOST_OBJECTS + 1)):
            number = rng.integers(DIGITS)
            if box := _put(pixels, mask, shapes[number], len(digits) + 1, OBJECT_SIDES, rng):
                digits.append((int(labels[number]), box))
        (folder / "images" / f"{i:05d}.jpg").write_bytes(encode_jpeg(pixels, quality=95))
        yield i, mask, digits


def crop(photograph: np.ndarray, size_px: int, rng: np.random.Generator) -> np.ndarray:
    """Cut a part of a photograph, uint8 [size_px, size_px, 3], enlarged where the photograph is not large enough."""
    height, width = photograph.shape[:2]
    side = min(size_px, height, width)
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    cut = photograph[top : top + side, left : left + side]
    return cut.copy() if side == size_px else cv2.resize(cut, (size_px, size_px))


def _put(
    pixels: np.ndarray,
    mask: np.ndarray,
    glyph: np.ndarray,
    label: int,
    sides: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[int, int, int, int] | None:
    """Lay a glyph float [8, 8] over a picture and its mask, in place, with a side of some shares of the picture's.

    Returns the box around its strokes, x0, y0, x1, y1 in px; None where another digit lies there already.
    """
    size_px = len(mask)
    low, high = (round(5 * share) * size_px // 5 for share in sides)
    side = int(rng.integers(low, high + 1))
    top, left = rng.integers(0, size_px - side + 1, 2)
    there = slice(top, top + side), slice(left, left + side)
    if mask[there].any():  # no digit covers another
        return None
    shape = enlarged(glyph, side).astype(np.float32) / 255
    colour = rng.integers(180, 256, 3)
    pixels[there] = (pixels[there] * (1 - shape[..., None]) + colour * shape[..., None]).astype(np.uint8)
    mask[there][shape >= RIM] = IGNORED
    mask[there][shape >= STROKE] = label
    y, x = np.nonzero(shape >= STROKE)
    left, top = int(left), int(top)
    return left + int(x.min()), top + int(y.min()), left + int(x.max()) + 1, top + int(y.max()) + 1
