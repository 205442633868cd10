"""What an image says of itself before its pixels are decoded: its kind, its size, and how it is to be turned."""

import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO

from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from pipeline.decode.limits import CONVERT, MAX_IMAGE_PIXELS, MAX_JPEG_SCANS, MAX_TIFF_PARTS, BadSample, check_pixels

ORIENTATION = int(ExifTags.Base.Orientation)
UPRIGHT = (ORIENTATION, 3, 1, 1)
"""An orientation as EXIF asks for it: one SHORT."""
NO_DIRECTORY = (struct.error, OverflowError, OSError)
"""Too short a read, and two of a place that no file has."""
PARTS = {273, 279, 324, 325}
"""TIFF's tags that list strips or tiles."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "PPM")
HEIC = frozenset(b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
"""Their bytes 4 to 12 (ISO/IEC 23008-12, annex B); files are given other names on their way from a telephone."""


def open_image(file: BinaryIO) -> Image.Image:
    """Read an image's header and check its size in pixels; `.load()` decodes. Raises `BadSample`.

    Of a file with several pictures (pages, an animation) it is the first.
    """
    _check_tiff(file)
    try:
        image = Image.open(file, formats=FORMATS)
    except Exception as error:  # Pillow's readers raise whatever a broken header makes them
        raise BadSample(_why_not(file, error)) from error
    check_pixels(image.width, image.height, MAX_IMAGE_PIXELS)
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):  # which is of 16 bits
        raise BadSample(
            "its levels are signed, of 32 bits or fractions, without a known white; save it with 8 or 16 bits"
        )
    return image


def _check_tiff(file: BinaryIO) -> None:
    """Raise `BadSample` for a TIFF in so many parts that to list them takes minutes."""
    with suppress(*NO_DIRECTORY):
        for tag, _, count, _ in _directory(file):
            if tag in PARTS and count > MAX_TIFF_PARTS:
                raise BadSample(f"the TIFF is cut into {count:,} parts, more than the {MAX_TIFF_PARTS:,} allowed")
    file.seek(0)


def _why_not(file: BinaryIO, error: Exception) -> str:
    file.seek(0)
    if file.read(12)[4:] in HEIC:
        return CONVERT[".heic"]
    if isinstance(error, UnidentifiedImageError):
        return "its content is no image that can be read: JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or PPM"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than the {MAX_IMAGE_PIXELS:,} pixels allowed"
    return f"its header is broken: {error}"


def orientation(image: Image.Image) -> int:
    """Return how the picture is to be turned, 1 to 8 as EXIF counts, from EXIF, XMP, a PNG's chunks or a TIFF's tags.

    1 (upright) where nothing is said, or something broken. The one place that decides; OpenCV is not asked.
    """
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a broken EXIF block is no reason to lose the picture
        return 1
    return value if value in range(1, 9) else 1


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return (width, height) once it is turned; to be asked before it is loaded, which turns a TIFF."""
    width, height = image.size
    if isinstance(image, TiffImageFile):  # whose `size` is turned already, but not by all versions of Pillow
        width, height = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH]
    return (width, height) if orientation(image) < 5 else (height, width)


def is_plain(data: bytes | memoryview) -> bool:
    """Tell whether OpenCV decodes an image as Pillow does: it is of a kind that both read alike, and not to be turned.

    Takes microseconds, as the feed asks it of every sample. False where only Pillow can tell.
    """
    look = PLAIN.get(bytes(data[:2]))
    return look is not None and look(data)


def _jpeg_is_plain(data: bytes | memoryview) -> bool:
    at = 2
    while at + 4 <= len(data):
        mark, marker, length = struct.unpack_from(">BBH", data, at)
        if mark != 0xFF or not 0xC0 <= marker <= 0xFE or 0xD0 <= marker <= 0xD9:  # padding or damage
            return False
        if marker == 0xDA:  # the pixels begin
            return True
        if marker == 0xE1 and not _exif_is_upright(data[at + 10 : at + 2 + length]):
            return False
        at += 2 + length
    return False


def _exif_is_upright(block: bytes | memoryview) -> bool:
    """Tell whether an EXIF block surely asks for no turn: most photographs have one.

    False for XMP and what is broken.
    """
    try:
        entries = list(_directory(io.BytesIO(block)))
    except NO_DIRECTORY:
        return False
    return all(entry == UPRIGHT for entry in entries if entry[0] == ORIENTATION)


def _directory(file: BinaryIO) -> Iterator[tuple[int, int, int, int]]:
    """Yield (tag, type, number of values, the first one as a SHORT) of the first directory of a TIFF or an EXIF block.

    Raises of `NO_DIRECTORY` for what is none, and for a broken one (TIFF 6.0, section 2; BigTIFF has longer numbers).
    """
    head = file.read(16)
    if (order := {b"II": "<", b"MM": ">"}.get(head[:2])) is None:
        raise struct.error("no TIFF")
    start, count, entry = ("8xQ", "Q", "HHQH6x") if head[2:3] == b"+" else ("4xI", "H", "HHIH2x")
    file.seek(*struct.unpack_from(order + start, head))
    (number,) = struct.unpack(order + count, file.read(struct.calcsize(order + count)))
    size = struct.calcsize(order + entry)
    yield from struct.iter_unpack(order + entry, file.read(min(number, 0xFFFF) * size))


def _png_is_plain(data: bytes | memoryview) -> bool:
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in {b"eXIf", b"acTL"}:  # of an animation, OpenCV takes the first frame and passes the picture over
            return False
        if kind in {b"tEXt", b"zTXt", b"iTXt"} and bytes(data[at + 8 : at + 29]).startswith(TURNING_TEXTS):
            return False
        if kind == b"IEND":
            break
        at += 12 + length
    return True


def _webp_is_plain(data: bytes | memoryview) -> bool:
    return data[12:16] != b"VP8X" or not int.from_bytes(data[20:21]) & 0x0C  # EXIF, XMP


TURNING_TEXTS = (b"XML:com.adobe.xmp", b"Raw profile type exif")
PLAIN: dict[bytes, Callable[[bytes | memoryview], bool]] = {
    b"\xff\xd8": _jpeg_is_plain,
    b"\x89P": _png_is_plain,
    b"RI": _webp_is_plain,
    b"BM": lambda data: bytes(data[28:34]) == b"\x18\0\0\0\0\0",  # 24 bits as they are; others come out otherwise
}


def check_structure(data: bytes) -> None:
    """Raise `BadSample` for what would cost a decoder far more than its size lets one think.

    A PNG with a chunk longer than the file: OpenCV takes memory for it, up to 2 GB. Damage in a PNG that Pillow
    overlooks and OpenCV does not is refused, too; what follows the PNG's end is no part of it. A JPEG with more than
    `MAX_JPEG_SCANS` scans: each is decoded over the whole picture.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        at, kind, view = 8, b"", memoryview(data)
        while at + 12 <= len(data) and kind != b"IEND":
            length, kind = struct.unpack_from(">I4s", data, at)
            start, at = at + 4, at + 12 + length
            if at > len(data):
                raise BadSample("the image is broken or cut off: a part of it ends behind the file")
            damaged = kind == b"IDAT" and zlib.crc32(view[start : at - 4]) != int.from_bytes(view[at - 4 : at])
            if damaged or not kind.isalpha():
                raise BadSample("the image is broken: the checksum of a part of it is wrong, or its name is none")
        if kind != b"IEND":  # Pillow does without it, and OpenCV 5 does not
            raise BadSample("the image is cut off: its end is missing")
    elif data.startswith(b"\xff\xd8") and (scans := _jpeg_scans(data)) > MAX_JPEG_SCANS:
        raise BadSample(f"the JPEG has {scans:,} scans, more than the {MAX_JPEG_SCANS} allowed; save it anew")


_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")  # neither an escaped FF nor a restart, which lie between pixels


def _jpeg_scans(data: bytes) -> int:
    """Count how many scans lie before the end of a JPEG (ITU-T T.81, annex B)."""
    at, scans = 2, 0
    while (found := _MARKER.search(data, at)) and found[1] != b"\xd9":
        scans += found[1] == b"\xda"
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return scans
