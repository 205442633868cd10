"""Pictures for the tests of images, and what Pillow makes of a file: the truth."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

UInt8Array = npt.NDArray[np.uint8]
CASES = Path(__file__).parents[2] / "cases"


def picture(height: int = 24, width: int = 36) -> UInt8Array:
    """Smooth, and no turn of it looks like another."""
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * x / width, 255 * y / height, 255 - 200 * x / width], axis=-1).astype(np.uint8)


RGB = Image.fromarray(picture())
GREY16 = np.multiply(picture()[..., 0], 256, dtype=np.uint16) + 200


def saved(image: Image.Image, name: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def truth(data: bytes) -> UInt8Array:
    with Image.open(io.BytesIO(data)) as image:
        if image.mode.startswith("I"):  # Pillow makes nearly all of 16 bits white
            return np.repeat((GREY16 >> 8).astype(np.uint8)[..., None], 3, axis=-1)
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def assert_close(pixels: UInt8Array, expected: UInt8Array, tolerance: float) -> None:
    assert pixels.shape == expected.shape
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected).max() <= tolerance
