"""Targets: what is kept, pixel for pixel, and what is refused in words."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.decode.image import decode_image
from pipeline.decode.limits import BadSample
from pipeline.decode.targets import probe_target, read_target, store_exactly, store_target

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def file_of(pixels: Any, kind: str = "PNG", mode: str | None = None, **more: Any) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind, **more)
    return file.getvalue()


def test_a_png_is_kept_byte_for_byte() -> None:
    content = file_of(PIXELS)
    assert store_exactly(content, ".png") == (content, "png", 8, 6)
    assert store_target(content, (4, 3), (4, 3), 0) == (content, {})
    assert np.array_equal(read_target(content), PIXELS)


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "WEBP"])
def test_other_kinds_without_loss(kind: str) -> None:
    content = file_of(PIXELS, kind, lossless=True)  # of which WebP alone takes notice
    stored, _ = store_target(content, (8, 6), (8, 6), 0)
    assert stored.startswith(b"\x89PNG")
    assert np.array_equal(read_target(stored), PIXELS)
    data, extension, *size = store_exactly(content, f".{kind.lower()}")
    assert (extension, size) == ("png" if kind == "TIFF" else kind.lower(), [8, 6])
    assert np.array_equal(decode_image(data), PIXELS)


def test_a_photograph_on_its_side_is_stored_upright_and_without_loss() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = file_of(PIXELS, exif=exif)
    data, extension, *size = store_exactly(content, ".png")
    assert (extension, size) == ("png", [6, 8])
    assert np.array_equal(decode_image(data), np.rot90(PIXELS, -1))
    probe_target(io.BytesIO(content), 3, 4)


def test_palettes_become_their_colours() -> None:
    content = file_of(PIXELS, mode="P")
    colours = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert np.array_equal(decode_image(store_exactly(content, ".png")[0]), colours)
    assert np.array_equal(read_target(store_target(content, (8, 6), (8, 6), 0)[0]), colours)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_refused(kind: str) -> None:
    content = file_of(np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000, kind)
    for store in (lambda: store_exactly(content, f".{kind.lower()}"), lambda: store_target(content, (8, 6), (8, 6), 0)):
        with pytest.raises(BadSample, match=r"it has 16 bits a channel, .* half of them would be lost"):
            store()


def test_16_bits_of_colours_too() -> None:
    """Pillow reads them as 8, so the header is asked."""
    import cv2

    content = cv2.imencode(".png", PIXELS.astype(np.uint16) * 257)[1].tobytes()
    with pytest.raises(BadSample, match="16 bits"):
        store_exactly(content, ".png")


@pytest.mark.parametrize(("width", "height"), [(3, 3), (4, 6), (8, 3), (16, 12), (5, 4)])
def test_a_size_that_is_no_multiple_is_refused(width: int, height: int) -> None:
    with pytest.raises(BadSample, match=f"8 x 6 pixels, which is no whole .* {width} x {height}"):
        probe_target(io.BytesIO(file_of(PIXELS)), width, height)


def test_a_broken_target_is_refused() -> None:
    with pytest.raises(BadSample):
        store_target(file_of(PIXELS)[:-30], (8, 6), (8, 6), 0)
    with pytest.raises(BadSample):
        probe_target(io.BytesIO(b"no picture"), 8, 6)
