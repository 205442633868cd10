"""Masks: PNGs of 8 bits in which a pixel's value is the number of its class, and 255 where no class is to be learned.

So they are stored. Sources have other values, too, of 16 bits or colours: `Values` says what these mean. A mask belongs
to its picture as that is shown: where EXIF asks to turn a photograph, tools such as labelme and CVAT turn it, draw and
save the mask so. A mask of another size is refused; one that asks to be turned itself, too.
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
from pipeline.decode.values import COLOUR, IGNORED, Pixels, Values

GREY, RGB, PALETTE, RGBA = 0, 2, 3, 6
"""Colour types of PNGs (ISO/IEC 15948, table 11.1)."""
COLOURS = {GREY: "grey", RGB: "RGB", 4: "grey with alpha", RGBA: "RGB with alpha"}
LEVEL = 6
"""Of zlib: 9 takes six times as long for a tenth less."""

Size = tuple[int, int]
"""Width and height in px."""
Mask = npt.NDArray[np.uint8]


def probe_mask(file: BinaryIO, width: int, height: int, values: Values | None = None) -> None:
    """Read a mask's header. BadSample when it is none, or no mask of a picture of `width` x `height` px, as shown.

    values: what its values mean; None: they are the numbers of classes, and 255
    """
    bits, colours = probe_size(file, width, height)
    if not _fits(bits, colours, values):
        kind = f"it is a PNG of {bits} bits of {COLOURS.get(colours, 'an unknown kind')}"
        if values is None:
            raise BadSample(f"{kind}, and masks have 8 bits of grey or a palette: the number of a class a pixel")
        if values.colours:
            raise BadSample(f"{kind}, and data.source.classes names colours, which have 8 bits of red, green and blue")
        raise BadSample(
            f"{kind}, and masks have 8 or 16 bits of grey or a palette; for colours, data.source.classes names a file "
            "with a line `name, red, green, blue` a class"
        )


def _fits(bits: int, colours: int, values: Values | None) -> bool:
    if values is None:
        return (bits, colours) == (8, GREY) or colours == PALETTE
    coloured = colours == PALETTE or (bits == 8 and colours in (RGB, RGBA))
    numbered = colours == PALETTE or (colours == GREY and bits in (1, 8, 16))
    return coloured if values.colours else numbered if values.colours is False else numbered or coloured


def probe_size(file: BinaryIO, width: int, height: int) -> tuple[int, int]:
    """Bits and colour type of a PNG. BadSample where it is none, or not as large as its picture as shown."""
    check_bytes(file.seek(0, io.SEEK_END), MAX_IMAGE_BYTES)
    file.seek(0)
    mask_width, mask_height, bits, colours = png_header(file.read(26))
    check_pixels(mask_width, mask_height, MAX_IMAGE_PIXELS)
    if (mask_width, mask_height) != (width, height):
        words = f"it has {mask_width} x {mask_height} pixels, and its picture {width} x {height}"
        if (mask_width, mask_height) == (height, width):
            words += " as it is shown: EXIF may turn a photograph, and a mask is saved as its picture is shown"
        raise BadSample(words)
    return bits, colours


def count_mask(content: bytes, values: Values) -> dict[int, int]:
    """Check a mask wholly, and count the pixels of each of its values. BadSample for one that means nothing."""
    check_structure(content)
    return values.count(_values(content, values))


def store_mask(
    content: bytes, source_size: Size, stored_size: Size, classes: int, values: Values | None = None
) -> tuple[bytes, Mapping[int, int]]:
    """Check a mask wholly, and return what to store, and how many pixels of each class that has: a PNG of 8-bit grey.

    source_size: of the picture that it belongs to, upright
    stored_size: of the picture as it is stored; the mask is scaled to it, each pixel by the nearest one's centre
    classes:     their number K
    values:      what its values mean; None: they are 0 to K - 1, and 255
    """
    probe_mask(io.BytesIO(content), *source_size, values)
    check_structure(content)
    if values is None:
        pixels = strictly(content)
        _check_values(pixels, classes)
    else:
        read = _values(content, values)
        values.count(read)
        pixels = values.look_up(read)
    if stored_size != source_size:
        pixels = cv2.resize(pixels, stored_size, interpolation=cv2.INTER_NEAREST_EXACT)  # type: ignore[assignment]
    found = np.bincount(pixels.reshape(-1), minlength=IGNORED + 1)
    return encode_mask(pixels), {int(label): int(found[label]) for label in np.flatnonzero(found[:classes])}


def _check_values(pixels: Mask, classes: int) -> None:
    found = np.bincount(pixels.reshape(-1), minlength=IGNORED + 1)
    if (unknown := np.flatnonzero(found[classes:IGNORED]) + classes).size:
        value = int(unknown[0])
        raise BadSample(
            f"it has the value {value} in {found[value]:,} pixels; values are the numbers of {classes} classes, "
            f"0 to {classes - 1}, and {IGNORED} where no class counts"
        )


def encode_mask(pixels: Pixels, level: int = LEVEL) -> bytes:
    """Encode `[H, W]` as PNG of 8 or 16 bits."""
    encoded, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, level])
    if not encoded:
        raise ValueError(f"cannot encode a mask of shape {pixels.shape}")
    return data.tobytes()


def read_mask(data: bytes | memoryview, values: Values | None = None) -> Mask:
    """Read the class numbers of a mask, uint8 `[H, W]`; without `values` it has these. BadSample for other bytes."""
    if values is not None:
        return values.look_up(_values(data, values))
    _, _, bits, colours = png_header(data)
    if (bits, colours) != (8, GREY) or not is_plain(data):
        return strictly(data)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise BadSample("it cannot be decoded") from error
    if pixels is None:
        raise BadSample("it cannot be decoded")
    return pixels  # type: ignore[return-value]  # cv2's hints leave the dtype open


def png_header(head: bytes | memoryview) -> tuple[int, int, int, int]:
    """Read width, height, bits and colour type of a PNG."""
    if len(head) < 26 or bytes(head[:16]) != b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR":
        raise BadSample("its content is no PNG, and a mask is one: a JPEG's values are not exact")
    width, height, bits, colours = struct.unpack_from(">IIBB", head, 16)
    return width, height, bits, colours


def _values(data: bytes | memoryview, values: Values) -> Pixels:
    """Read the values of a mask as its file has them."""
    _, _, _, colours = png_header(data)
    if not (values.colours or (values.colours is None and colours in (RGB, RGBA))):
        return strictly(data)
    red, green, blue = np.moveaxis(strictly(data, "RGB").astype(np.uint32), 2, 0)
    colour: npt.NDArray[np.uint32] = red << 16 | green << 8 | blue
    return colour if values.colours else colour | np.uint32(COLOUR)


def strictly(data: bytes | memoryview, mode: str | None = None) -> npt.NDArray[np.uint8]:
    """Read pixels by Pillow, which gives the numbers of a palette and not its colours, unless a `mode` asks for these.

    Of 16 bits they are uint16. BadSample for what is broken, and for what asks to be turned.
    """
    with open_image(io.BytesIO(data)) as image:
        try:
            image.load()
            pixels = np.array(image.convert(mode) if mode else image)
        except Exception as error:  # Pillow's decoders raise whatever broken data makes them
            raise BadSample(f"it is broken or cut off: {error}") from error
        if orientation(image) != 1:
            raise BadSample("it asks to be turned (EXIF); save it as its picture is shown")
    return pixels.astype(np.uint8) if pixels.dtype == bool else pixels
