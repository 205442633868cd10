"""Masks: PNGs of 8 bits in which a pixel's value is the number of its class, and 255 where no class is to be learned.

A mask belongs to its picture as that is shown: where EXIF asks to turn a photograph, tools such as labelme and CVAT
turn it, draw and save the mask so. A mask of another size is refused; one that asks to be turned itself, too.
"""

import io
import struct
from collections.abc import Mapping
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.decode.image_header import check_structure, is_plain, open_image, orientation
from pipeline.decode.limits import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, BadSample, check_bytes, check_pixels

IGNORED = 255
"""The value of pixels that are neither trained on nor measured."""
GREY, PALETTE = (8, 0), 3
"""Bits and colour type of 8 bits of grey, and the colour type of palettes (ISO/IEC 15948, table 11.1)."""
COLOURS = {0: "grey", 2: "RGB", 4: "grey with alpha", 6: "RGB with alpha"}
LEVEL = 6
"""Of zlib: 9 takes six times as long for a tenth less."""

Size = tuple[int, int]
"""Width and height in px."""
Mask = npt.NDArray[np.uint8]


def probe_mask(file: BinaryIO, width: int, height: int) -> None:
    """Read a mask's header. BadSample when it is none, or no mask of a picture of `width` x `height` px, as shown."""
    check_bytes(file.seek(0, io.SEEK_END), MAX_IMAGE_BYTES)
    file.seek(0)
    mask_width, mask_height, bits, colours = _header(file.read(26))
    check_pixels(mask_width, mask_height, MAX_IMAGE_PIXELS)
    if (bits, colours) != GREY and colours != PALETTE:
        raise BadSample(
            f"it is a PNG of {bits} bits of {COLOURS.get(colours, 'an unknown kind')}, and masks have 8 bits of grey "
            "or a palette: the number of a class a pixel"
        )
    if (mask_width, mask_height) != (width, height):
        words = f"it has {mask_width} x {mask_height} pixels, and its picture {width} x {height}"
        if (mask_width, mask_height) == (height, width):
            words += " as it is shown: EXIF may turn a photograph, and a mask is saved as its picture is shown"
        raise BadSample(words)


def store_mask(content: bytes, source_size: Size, stored_size: Size, classes: int) -> tuple[bytes, Mapping[int, int]]:
    """Check a mask wholly, and return what to store, and how many pixels of each class that has: a PNG of 8-bit grey.

    source_size: of the picture that it belongs to, upright
    stored_size: of the picture as it is stored; the mask is scaled to it, each pixel by the nearest one's centre
    classes:     their number K: values are 0 to K - 1, and 255
    """
    probe_mask(io.BytesIO(content), *source_size)
    check_structure(content)
    pixels = _strictly(content)
    found = np.bincount(pixels.reshape(-1), minlength=IGNORED + 1)
    if (unknown := np.flatnonzero(found[classes:IGNORED]) + classes).size:
        value = int(unknown[0])
        raise BadSample(
            f"it has the value {value} in {found[value]:,} pixels; values are the numbers of {classes} classes, "
            f"0 to {classes - 1}, and {IGNORED} where no class counts"
        )
    if stored_size != source_size:
        pixels = cv2.resize(pixels, stored_size, interpolation=cv2.INTER_NEAREST_EXACT)  # type: ignore[assignment]
        found = np.bincount(pixels.reshape(-1), minlength=IGNORED + 1)
    encoded, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, LEVEL])
    if not encoded:
        raise ValueError(f"cannot encode a mask of shape {pixels.shape}")
    return data.tobytes(), {int(label): int(found[label]) for label in np.flatnonzero(found[:classes])}


def read_mask(data: bytes | memoryview) -> Mask:
    """Read the values of a mask, uint8 `[H, W]`. BadSample for bytes that are none."""
    _, _, bits, colours = _header(data)
    if (bits, colours) != GREY or not is_plain(data):
        return _strictly(data)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise BadSample("it cannot be decoded") from error
    if pixels is None:
        raise BadSample("it cannot be decoded")
    return pixels  # type: ignore[return-value]  # cv2's hints leave the dtype open


def _header(head: bytes | memoryview) -> tuple[int, int, int, int]:
    """Read width, height, bits and colour type of a PNG."""
    if len(head) < 26 or bytes(head[:16]) != b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR":
        raise BadSample("its content is no PNG, and a mask is one: a JPEG's values are not exact")
    width, height, bits, colours = struct.unpack_from(">IIBB", head, 16)
    return width, height, bits, colours


def _strictly(data: bytes | memoryview) -> Mask:
    """Read by Pillow, which gives the numbers of a palette and not its colours."""
    with open_image(io.BytesIO(data)) as image:
        try:
            pixels = np.array(image)
        except Exception as error:  # Pillow's decoders raise whatever broken data makes them
            raise BadSample(f"it is broken or cut off: {error}") from error
        if orientation(image) != 1:
            raise BadSample("it asks to be turned (EXIF); save it as its picture is shown")
    return pixels
