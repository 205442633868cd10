"""Every kind of image, on every way that it is read: what Pillow makes of it, as RGB."""

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from pipeline.decode.frames import encode_frames
from pipeline.decode.image import check_and_store_image, decode_image
from pipeline.decode.limits import BadSample
from pipeline.decode.probe import probe_file
from pipeline.decode.video import decode_frames
from tests.pipeline.decode.pictures import CASES, GREY16, RGB, assert_close, picture, saved, truth

RGBA = Image.fromarray(np.dstack([picture(), picture()[..., 0]]))
PALETTE = RGB.quantize(64, dither=Image.Dither.NONE)


def by_opencv(name: str, pixels: npt.NDArray[Any]) -> bytes:
    return cv2.imencode(name, pixels)[1].tobytes()


def lab() -> Image.Image:
    profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
    made = ImageCms.profileToProfile(RGB, *profiles, outputMode="LAB")
    assert made
    return made


def animated(name: str, **options: Any) -> bytes:
    return saved(RGB, name, save_all=True, append_images=[RGB.rotate(180), RGB.rotate(90)], **options)


def tiff_12_bit() -> bytes:
    """Two pixels in three bytes; its levels are 0..4095."""
    levels = (GREY16 >> 4).reshape(-1, 2).astype(np.uint32)
    packed = (levels[:, 0] << 12 | levels[:, 1]).astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
    tags = [(256, 36), (257, 24), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 24), (279, len(packed))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    at = 8 + len(packed)
    return b"II*\0" + struct.pack("<I", at) + packed + struct.pack("<H", len(tags)) + entries + bytes(4)


def bmp_with_masks() -> bytes:
    """Five bits of each colour in 16, as the masks say; upside down, as BMPs are."""
    red, green, blue = (picture()[::-1, :, channel].astype("<u2") >> 3 for channel in range(3))
    pixels = (red << 10 | green << 5 | blue).tobytes()
    header = struct.pack("<IiiHHIIiiII", 40, 36, 24, 1, 16, 3, len(pixels), 0, 0, 0, 0)
    masks = struct.pack("<III", 0x1F << 10, 0x1F << 5, 0x1F)
    return struct.pack("<2sIII", b"BM", 66 + len(pixels), 0, 66) + header + masks + pixels


KINDS: dict[str, tuple[bytes, int]] = {
    # name: (content, by how much levels may differ from Pillow's)
    "JPEG": (saved(RGB, "JPEG", quality=95), 1),
    "JPEG, progressive": (saved(RGB, "JPEG", progressive=True), 1),
    "JPEG, 4:4:4": (saved(RGB, "JPEG", subsampling=0), 1),
    "JPEG, grey": (saved(RGB.convert("L"), "JPEG"), 1),
    "JPEG, RGB": (saved(RGB, "JPEG", keep_rgb=True), 1),
    "JPEG, CMYK": (saved(RGB.convert("CMYK"), "JPEG", quality=95), 2),
    "JPEG, bytes behind its end": (saved(RGB, "JPEG") + b"and more" * 99, 1),
    "MPO": (saved(RGB, "MPO", save_all=True, append_images=[RGB.rotate(180)]), 1),
    "PNG": (saved(RGB, "PNG"), 0),
    "PNG, grey": (saved(RGB.convert("L"), "PNG"), 0),
    "PNG, 1 bit": (saved(RGB.convert("1"), "PNG"), 0),
    "PNG, 2 bits": (saved(RGB.quantize(4), "PNG", bits=2), 0),
    "PNG, grey and alpha": (saved(RGBA.convert("LA"), "PNG"), 0),
    "PNG, alpha": (saved(RGBA, "PNG"), 0),
    "PNG, palette": (saved(PALETTE, "PNG"), 0),
    "PNG, palette and alpha": (saved(PALETTE, "PNG", transparency=bytes(range(256))), 0),
    "PNG, a transparent colour": (saved(RGB, "PNG", transparency=(0, 0, 255)), 0),
    "PNG, RGB of 16 bits": (by_opencv(".png", picture()[..., ::-1].astype(np.uint16) * 256 + 200), 0),
    "PNG, grey of 16 bits": (saved(Image.fromarray(GREY16), "PNG"), 0),
    "PNG, animated": (animated("PNG"), 0),
    "PNG, animated with a picture of its own": (animated("PNG", default_image=True), 0),
    "PNG, bytes behind its end": (saved(RGB, "PNG") + b"and more" * 99, 0),
    "WebP": (saved(RGB, "WEBP"), 1),
    "WebP, alpha": (saved(RGBA, "WEBP", lossless=True, exact=True), 0),
    "WebP, animated": (animated("WEBP", lossless=True), 0),
    "BMP": (saved(RGB, "BMP"), 0),
    "BMP, palette": (saved(PALETTE, "BMP"), 0),
    "BMP, 1 bit": (saved(RGB.convert("1"), "BMP"), 0),
    "BMP, 5 bits a channel": (bmp_with_masks(), 0),
    "TIFF": (saved(RGB, "TIFF"), 0),
    "TIFF, LZW": (saved(RGB, "TIFF", compression="tiff_lzw"), 0),
    "TIFF, JPEG": (saved(RGB, "TIFF", compression="jpeg"), 0),
    "TIFF, fax": (saved(RGB.convert("1"), "TIFF", compression="group4"), 0),
    "TIFF, alpha": (saved(RGBA, "TIFF"), 0),
    "TIFF, grey and alpha": (saved(RGBA.convert("LA"), "TIFF"), 0),
    "TIFF, palette": (saved(PALETTE, "TIFF"), 0),
    "TIFF, CMYK": (saved(RGB.convert("CMYK"), "TIFF"), 0),
    "TIFF, Lab": (saved(lab(), "TIFF"), 0),
    "TIFF, grey of 12 bits": (tiff_12_bit(), 0),
    "TIFF, grey of 16 bits": (saved(Image.fromarray(GREY16), "TIFF"), 0),
    "TIFF, grey of 16 bits, big-endian": (saved(Image.fromarray(GREY16.astype(">u2")), "TIFF"), 0),
    "TIFF, RGB of 16 bits": (by_opencv(".tif", picture()[..., ::-1].astype(np.uint16) * 256 + 200), 0),
    "TIFF, pages": (animated("TIFF"), 0),
    "GIF": (saved(PALETTE, "GIF"), 0),
    "GIF, animated": (animated("GIF"), 0),
    "AVIF": (saved(RGB, "AVIF", quality=95), 0),
    "AVIF, alpha": (saved(RGBA, "AVIF", quality=95), 0),
    "PPM": (saved(RGB, "PPM"), 0),
    "PGM": (saved(RGB.convert("L"), "PPM"), 0),
    "PGM, 16 bits": (b"P5 36 24 65535\n" + GREY16.astype(">u2").tobytes(), 0),
}
AS_THEY_ARE = ("JPEG", "MPO", "PNG", "WebP", "BMP")


@pytest.mark.filterwarnings("ignore:Palette images with Transparency:UserWarning:PIL.Image")
@pytest.mark.parametrize("name", KINDS)
def test_kinds(name: str) -> None:
    data, tolerance = KINDS[name]
    expected = truth(data)
    height, width, _ = expected.shape
    for given in (data, memoryview(data)):
        assert_close(decode_image(given), expected, tolerance)
    header = probe_file(io.BytesIO(data), "image")
    assert (header.width, header.height) == (width, height) == (36, 24)
    stored, extension, *size = check_and_store_image(data, ".x", 256, 100, True)
    assert size == [width, height]
    if name.startswith(AS_THEY_ARE) and name != "PNG, grey of 16 bits":
        assert (stored, extension) == (data, "x")
    else:  # what some readers of shards do not know, or see otherwise
        assert extension == "jpg"
        with Image.open(io.BytesIO(stored)) as image:
            assert image.format == "JPEG"
        assert np.abs(decode_image(stored).astype(int) - expected).mean() < 8  # a JPEG halves the colours' sizes


@pytest.mark.parametrize("name", ["JPEG", "PNG, grey of 16 bits", "TIFF, grey of 12 bits", "AVIF", "GIF"])
def test_frames_are_read_as_single_images_are(name: str, tmp_path: Path) -> None:
    data, _ = KINDS[name]
    (tmp_path / "0.png").write_bytes(data)
    made, _ = encode_frames(tmp_path, "*", 10.0, None, None, 24, 1, 1)
    (frame,) = decode_frames(made.data, np.array([0]))
    assert np.abs(frame.astype(int) - decode_image(data)).mean() < 8  # chroma is halved


def test_a_case_with_bytes_behind_the_end() -> None:
    data = (CASES / "png_trailing_bytes.png").read_bytes()
    assert not data.endswith(b"IEND\xaeB`\x82")
    assert_close(decode_image(data), truth(data), 0)
    assert check_and_store_image(data, "png", 256, 95, True)[:2] == (data, "png")


def test_a_case_of_frames_of_16_bits() -> None:
    folder = CASES / "frames_gray16"
    levels = [int(decode_image(path.read_bytes()).mean().round()) for path in sorted(folder.iterdir())]
    assert levels[:3] == [31, 46, 62]
    made, _ = encode_frames(folder, "*", 10.0, None, None, 64, 1, 10)
    shown = [frame.mean() for frame in decode_frames(made.data, np.arange(made.frames))]
    assert np.abs(np.subtract(shown, levels)).max() <= 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (saved(RGB.convert("F"), "TIFF"), "of 32 bits or fractions, without a known white; save it with 8 or 16 bits"),
        (saved(RGB.convert("I"), "TIFF"), "without a known white"),
        (by_opencv(".tif", picture().astype(np.float32)), "no image that can be read"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "HEIC is not read; convert it"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(99), "HEIC is not read; convert it"),
    ],
)
def test_what_is_not_read(data: bytes, reason: str) -> None:
    for read in (decode_image, lambda one: check_and_store_image(one, "jpg", 9, 9, True)):
        with pytest.raises(BadSample, match=reason):
            read(data)
    with pytest.raises(BadSample, match=reason):
        probe_file(io.BytesIO(data), "image")
