"""Sources that need no download: real handwritten digits (scikit-learn's bundled `load_digits`), drawn into files.

`digits` writes JPEG images, a folder a digit. `moving-digits` writes H.264 clips of a digit that moves left, right,
up or down, a folder a direction: one frame cannot tell the direction, only the order of frames can.
"""

from pathlib import Path

import cv2
import numpy as np

from pipeline.base.keyed import generator
from pipeline.decode.image import encode_jpeg
from pipeline.decode.transcode import encode

DIRECTIONS = {"down": (0, 1), "left": (-1, 0), "right": (1, 0), "up": (0, -1)}
FPS = 8
_BRIGHTEST = 16


def glyphs() -> tuple[np.ndarray, np.ndarray]:
    """Load the digits: float32 [1797, 8, 8] in 0..1, and which ones they are, [1797]."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images.astype(np.float32) / _BRIGHTEST, digits.target


def enlarged(glyph: np.ndarray, size_px: int) -> np.ndarray:
    """Enlarge a glyph to uint8 [size_px, size_px]."""
    return (255 * cv2.resize(glyph, (size_px, size_px), interpolation=cv2.INTER_LINEAR)).astype(np.uint8)


def draw_images(folder: Path, numbers: range, size_px: int) -> None:
    """Write digit i of load_digits as `<digit>/<i>.jpg`, uint8 [size_px, size_px, 3], for each i in `numbers`."""
    shapes, labels = glyphs()
    for i in numbers:
        picture = enlarged(shapes[i], size_px)
        path = folder / str(labels[i]) / f"{i:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(np.stack([picture] * 3, axis=-1), quality=95))


def draw_clips(folder: Path, numbers: range, size_px: int, frames: int) -> None:
    """Write clip i as `<direction>/<i>.mp4`, `frames` frames of size_px x size_px, for each i in `numbers`."""
    shapes, _ = glyphs()
    for i in numbers:
        direction = list(DIRECTIONS)[i % len(DIRECTIONS)]
        clip = moving_clip(shapes[i % len(shapes)], direction, size_px, frames, generator("moving-digits", i))
        path = folder / direction / f"{i:05d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(clip, fps=FPS))


def moving_clip(glyph: np.ndarray, direction: str, size_px: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Compute uint8 [frames, size_px, size_px, 3]: a glyph (float [8, 8] in 0..1) that moves by half of the picture's
    size.

    It starts anywhere and comes in again on the other side where it leaves the picture, so that at any time every
    position is as likely as any other, whatever the direction: one frame says nothing about it.
    """
    glyph_px = 3 * size_px // 8
    picture = np.zeros((size_px, size_px, 3), np.uint8)
    picture[:glyph_px, :glyph_px] = enlarged(glyph, glyph_px)[:, :, None]
    dx, dy = DIRECTIONS[direction]
    x, y = rng.integers(0, size_px, 2)
    moved = [size_px * t // (2 * max(1, frames - 1)) for t in range(frames)]
    return np.stack([np.roll(picture, (y + dy * step, x + dx * step), axis=(0, 1)) for step in moved])
