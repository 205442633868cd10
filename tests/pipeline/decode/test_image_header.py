"""However a picture says how it is to be turned: it is turned once, as Pillow turns it, on every way."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from pipeline.decode.frames import encode_frames, probe_frames
from pipeline.decode.image import check_and_store_image, decode_image
from pipeline.decode.image_header import is_plain
from pipeline.decode.probe import probe_file
from pipeline.decode.video import decode_frames
from tests.pipeline.decode.pictures import CASES, RGB, assert_close, picture, saved, truth


def exif(value: int, prefix: bytes = b"", order: str = "<", kind: int = 3) -> bytes:
    """An EXIF block with an orientation, as SHORT (3) or LONG (4), between two other tags."""
    number = struct.pack(order + ("Hxx" if kind == 3 else "I"), value)
    entries = [
        (0x0100, 4, struct.pack(order + "I", 36)),
        (0x0112, kind, number),
        (0x0128, 3, struct.pack(order + "Hxx", 2)),
    ]
    tags = b"".join(struct.pack(order + "HHI", tag, type_, 1) + content for tag, type_, content in entries)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    return prefix + head + tags + bytes(4)


def xmp(value: int, as_element: bool = False) -> bytes:
    said = f"<tiff:Orientation>{value}</tiff:Orientation>" if as_element else ""
    attribute = "" if as_element else f' tiff:Orientation="{value}"'
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description{attribute}>{said}</rdf:Description></x:xmpmeta>'
    ).encode()


def jpeg(*segments: bytes) -> bytes:
    """A JPEG with APP1 segments, behind JFIF's own."""
    data = saved(RGB, "JPEG", quality=95)
    at = 4 + int.from_bytes(data[4:6], "big")
    made = b"".join(b"\xff\xe1" + struct.pack(">H", len(one) + 2) + one for one in segments)
    return data[:at] + made + data[at:]


def png(before: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG with chunks before and after its pixels."""
    data = saved(RGB, "PNG")
    at = data.index(b"IDAT") - 4
    return data[:at] + before + data[at:-12] + after + data[-12:]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_profile(value: int) -> bytes:
    block = b"Exif\0\0" + exif(value)
    text = f"\nexif\n{len(block):8}\n{block.hex()}\n"
    return chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text.encode()))


def webp(kind: bytes, data: bytes, flag: int) -> bytes:
    """An extended WebP with one chunk of metadata (RFC 9649)."""
    pixels = saved(RGB, "WEBP", lossless=True)[12:]
    sizes = struct.pack("<I", 35)[:3] + struct.pack("<I", 23)[:3]
    parts = struct.pack("<4sIB3x", b"VP8X", 10, flag) + sizes + pixels
    parts += struct.pack("<4sI", kind, len(data)) + data + bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(parts) + 4) + b"WEBP" + parts


def with_pillow(name: str, **options: Any) -> Callable[[int], bytes]:
    def make(value: int) -> bytes:
        block = Image.Exif()
        block[ExifTags.Base.Orientation] = value
        return saved(RGB, name, exif=block, **options)

    return make


PREFIX = b"Exif\0\0"
XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
TURNED: dict[str, Callable[[int], bytes]] = {
    "JPEG": lambda value: jpeg(exif(value, PREFIX)),
    "JPEG, big-endian": lambda value: jpeg(exif(value, PREFIX, ">")),
    "JPEG, LONG": lambda value: jpeg(exif(value, PREFIX, kind=4)),
    "JPEG, the prefix twice": lambda value: jpeg(exif(value, PREFIX * 2)),
    "JPEG, EXIF that is cut": lambda value: jpeg(exif(value, PREFIX)[:-8]),
    "JPEG, a second EXIF": lambda value: jpeg(exif(value, PREFIX), exif(1, PREFIX)),
    "JPEG, XMP": lambda value: jpeg(XMP_PREFIX + xmp(value)),
    "JPEG, XMP as an element": lambda value: jpeg(XMP_PREFIX + xmp(value, as_element=True)),
    "JPEG, EXIF against XMP": lambda value: jpeg(XMP_PREFIX + xmp(9 - value), exif(value, PREFIX)),
    "JPEG, padded markers": lambda value: jpeg(exif(value, PREFIX)).replace(b"\xff\xe1", b"\xff\xff\xff\xe1", 1),
    "MPO": with_pillow("MPO", save_all=True, append_images=[RGB.rotate(180)]),
    "PNG, eXIf": lambda value: png(chunk(b"eXIf", exif(value))),
    "PNG, eXIf behind the pixels": lambda value: png(after=chunk(b"eXIf", exif(value))),
    "PNG, XMP": lambda value: png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(value))),
    "PNG, a raw profile": lambda value: png(raw_profile(value)),
    "WebP": lambda value: webp(b"EXIF", exif(value), 0x08),
    "WebP, the prefix": lambda value: webp(b"EXIF", exif(value, PREFIX), 0x08),
    "WebP, XMP": lambda value: webp(b"XMP ", xmp(value), 0x04),
    "TIFF": with_pillow("TIFF"),
    "TIFF, LZW": with_pillow("TIFF", compression="tiff_lzw"),
    "AVIF": with_pillow("AVIF", quality=95),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning:PIL.TiffImagePlugin")
@pytest.mark.parametrize("name", TURNED)
def test_orientations(name: str) -> None:
    for value in range(1, 9):
        data = TURNED[name](value)
        expected = truth(data)
        turned = {
            1: picture(),
            2: picture()[:, ::-1],
            3: picture()[::-1, ::-1],
            4: picture()[::-1],
            5: picture().swapaxes(0, 1),
            6: np.rot90(picture(), -1),
            7: picture()[::-1, ::-1].swapaxes(0, 1),
            8: np.rot90(picture()),
        }[value]
        assert expected.shape == turned.shape
        assert np.abs(expected.astype(int) - turned).mean() < 6, value
        height, width, _ = expected.shape
        assert_close(decode_image(data), expected, 1)
        assert_close(decode_image(memoryview(data)), expected, 1)
        header = probe_file(io.BytesIO(data), "image")
        assert (header.width, header.height) == (width, height)
        stored, _, *size = check_and_store_image(data, ".x", 256, 100, False)
        assert size == [width, height]
        assert stored == data or value > 1 or name.startswith(("TIFF", "AVIF"))
        with Image.open(io.BytesIO(stored)) as image:
            assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1
            assert np.abs(np.asarray(image).astype(int) - expected).mean() < 3, value


def test_the_frames_of_a_video_are_turned_too(tmp_path: Path) -> None:
    (tmp_path / "0.jpg").write_bytes(TURNED["JPEG, XMP"](6))
    (tmp_path / "1.jpg").write_bytes(saved(RGB.transpose(Image.Transpose.ROTATE_270), "JPEG", quality=95))
    header = probe_frames(tmp_path, "*", 10.0)
    assert (header.width, header.height, header.frames) == (24, 36, 2)
    made, _ = encode_frames(tmp_path, "*", 10.0, None, None, 24, 1, 1)
    first, second = decode_frames(made.data, np.array([0, 1]))
    assert np.abs(first.astype(int) - second).mean() < 3


@pytest.mark.parametrize(
    ("name", "upright", "stored_size"),
    [
        ("xmp_orientation.jpg", (600, 1000), (512, 853)),
        ("exif_prefix_orientation.webp", (96, 160), (96, 160)),
    ],
)
def test_cases_that_lie_on_their_side(name: str, upright: tuple[int, int], stored_size: tuple[int, int]) -> None:
    data = (CASES / name).read_bytes()
    expected = truth(data)
    assert expected.shape[1::-1] == upright
    assert_close(decode_image(data), expected, 1)
    header = probe_file(io.BytesIO(data), "image")
    assert (header.width, header.height) == upright
    stored, extension, *size = check_and_store_image(data, name, 512, 95, True)
    assert (extension, tuple(size)) == ("jpg", stored_size)
    assert np.abs(decode_image(stored).astype(int) - cv2.resize(expected, stored_size)).mean() < 3


def test_plain_images_are_those_that_nothing_turns() -> None:
    """What the feed decodes without Pillow. Only the EXIF of a JPEG is read for it, as many photographs have one."""
    plain = {name for name, make in TURNED.items() if is_plain(make(1))}
    assert plain == {"JPEG", "JPEG, big-endian", "JPEG, a second EXIF", "MPO"}
    assert not any(is_plain(make(value)) for make in TURNED.values() for value in range(2, 9))
    for kind in ("JPEG", "PNG", "WEBP", "BMP"):
        assert is_plain(saved(RGB, kind))
        assert is_plain(memoryview(saved(RGB, kind)))
