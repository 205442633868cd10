"""Pictures that are to be restored, and their targets: stored without loss, and 8 bits a channel as they came."""

import io
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.decode.image import BITS_PER_SAMPLE, check_image, decode_image, encode_png
from pipeline.decode.image_header import open_image, upright_size
from pipeline.decode.limits import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, BadSample, check_bytes
from pipeline.decode.masks import Size, png_header
from pipeline.decode.values import Values

PNG = b"\x89PNG\r\n\x1a\n"


def probe_target(file: BinaryIO, width: int, height: int, values: Values | None = None) -> None:
    """Read a target's header. BadSample where it is no picture of 8 bits, or not a whole number of times as large as
    its picture of `width` x `height` px, as shown, the same both ways.
    """
    check_bytes(file.seek(0, io.SEEK_END), MAX_IMAGE_BYTES)
    file.seek(0)
    check_depth(file.read())
    file.seek(0)
    with open_image(file) as image:
        target = upright_size(image)
    scale = max(1, target[0] // width)
    if target != (scale * width, scale * height):
        raise BadSample(
            f"it has {target[0]} x {target[1]} pixels, which is no whole multiple of its picture's {width} x {height}, "
            "the same both ways; crop both so that it is"
        )


def store_target(
    content: bytes, source_size: Size, stored_size: Size, classes: int, values: Values | None = None
) -> tuple[bytes, Mapping[int, int]]:
    """Check a target wholly, and return what to store, a PNG, and no class. Its picture is stored as large as it is."""
    probe_target(io.BytesIO(content), *source_size)
    data, extension, _, _ = store_exactly(content, ".png" if content.startswith(PNG) else "")
    return (data if extension == "png" else encode_png(decode_image(data))), {}


def read_target(data: bytes | memoryview, values: Values | None = None) -> npt.NDArray[np.uint8]:
    """Decode a target, uint8 `[H, W, 3]`. BadSample for what is none."""
    return decode_image(data)


def store_exactly(data: bytes, extension: str, cap_pixels: int = MAX_IMAGE_PIXELS) -> tuple[bytes, str, int, int]:
    """Check a picture wholly, and return what to store: (bytes, extension, width, height), pixel for pixel as it is.

    The source's bytes where every reader of shards reads them well, else a PNG, upright. BadSample for 16 bits, which
    would lose half of them.
    """
    check_depth(data)
    width, height, plain = check_image(data, cap_pixels)
    name = extension.lower().removeprefix(".")
    if plain and name:
        return data, "jpg" if name in {"jpeg", "jpe", "jfif"} else name, width, height
    return encode_png(decode_image(data)), "png", width, height


def check_depth(data: bytes) -> None:
    """Raise `BadSample` for a picture of more than 8 bits a channel: a header tells."""
    with open_image(io.BytesIO(data)) as image:
        bits = _bits(data, image)
    if bits > 8:
        raise BadSample(
            f"it has {bits} bits a channel, and models see and give 8: half of them would be lost. Save it with 8 bits"
        )


def _bits(data: bytes, image: Image.Image) -> int:
    if data.startswith(PNG):
        return png_header(data[:26])[2]
    if isinstance(image, TiffImageFile):
        return int(max(image.tag_v2.get(BITS_PER_SAMPLE, (8,))))
    return 16 if image.mode.startswith("I") else 8  # of PPM
