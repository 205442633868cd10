"""Pictures of many bands or of 16 bits: read as they are from npy, TIFF and PNG, and stored as npy.

npy is a header and the levels (NumPy enhancement proposal 1). Nothing is unpickled, and nothing is made room for before
the header was held against the length of the file.
"""

import io
import math
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.base.bands import Bands
from pipeline.decode.image_header import check_structure, is_plain, open_image, orientation
from pipeline.decode.limits import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, BadSample, check_bytes, check_pixels
from pipeline.decode.tiff import Tiff, is_tiff

Levels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
NPY, PNG = b"\x93NUMPY", b"\x89PNG"
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
RGB_ORDER = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}


def array_size(file: BinaryIO, bands: Bands) -> tuple[int, int]:
    """Read (width, height) of a header. BadSample for what is no picture of these bands."""
    start = file.read(len(NPY))
    file.seek(0)
    if start == NPY:
        (height, width), _, _ = _npy_header(file, bands)
    elif is_tiff(start):
        tiff = Tiff.of(file)
        _check(tiff.channels, tiff.bits, bands)
        height, width = tiff.height, tiff.width
    else:
        with open_image(file) as image:
            width, height = image.size
            if image.format != "PNG":
                raise BadSample(f"it is a {image.format}, and pictures that are {bands} come as npy, TIFF or PNG")
    return width, height


def read_array(data: bytes | memoryview, bands: Bands, cap_pixels: int = MAX_IMAGE_PIXELS) -> Levels:
    """Read a picture [H, W, C] of exactly these bands, in the levels that the file has. BadSample for any other.

    npy: uint8 or uint16 [H, W, C], or [H, W] of one channel. TIFF: see `Tiff`. PNG: grey, RGB or RGBA of 16 bits.
    """
    check_bytes(len(data), MAX_IMAGE_BYTES)
    file, start = io.BytesIO(data), bytes(data[: len(NPY)])
    width, height = array_size(file, bands)
    check_pixels(width, height, cap_pixels)
    if width * height * bands.channels * bands.bits // 8 > 3 * cap_pixels:
        raise BadSample(f"{width} x {height} pixels that are {bands} are more than the {cap_pixels:,} of RGB allowed")
    file.seek(0)
    if start == NPY:
        _, dtype, fortran = _npy_header(file, bands)
        flat = np.frombuffer(data, dtype, offset=file.tell())
        shape = (height, width, bands.channels)
        return np.ascontiguousarray(flat.reshape(shape, order="F" if fortran else "C").astype(bands.dtype, copy=False))
    return Tiff.of(file).levels() if is_tiff(start) else _read_png(bytes(data), bands)


def encode_array(pixels: Levels) -> bytes:
    """Encode pixels as npy, always to the same bytes."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(pixels), version=(1, 0), allow_pickle=False)
    return file.getvalue()


def _npy_header(file: BinaryIO, bands: Bands) -> tuple[tuple[int, int], np.dtype, bool]:
    """Read up to the levels: (height, width), their type, and whether the last axis is the slowest."""
    try:
        shape, fortran, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    except (ValueError, KeyError) as error:
        raise BadSample(f"its header is broken: {error}") from error
    if len(shape) == 2 and bands.channels == 1:
        shape = (*shape, 1)
    if dtype.kind != "u" or dtype.itemsize * 8 != bands.bits or len(shape) != 3 or shape[2] != bands.channels:
        raise BadSample(
            f"it is {dtype.name} {list(shape)}, and data.channels and data.bits ask for {bands.dtype} [H, W, "
            f"{bands.channels}]"
        )
    start = file.tell()
    length = file.seek(0, io.SEEK_END) - start
    file.seek(start)
    if length != math.prod(shape) * dtype.itemsize:
        raise BadSample(f"it has {length:,} bytes of levels, and its header says {math.prod(shape) * dtype.itemsize:,}")
    return (shape[0], shape[1]), dtype, fortran


def _read_png(data: bytes, bands: Bands) -> Levels:
    check_structure(data)
    if not is_plain(data):
        with open_image(io.BytesIO(data)) as image:
            if orientation(image) != 1:
                raise BadSample(f"it is to be turned, which pictures that are {bands} are not; turn it before")
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise BadSample("the image is broken or cut off")
    pixels = found.reshape(*found.shape[:2], -1)
    _check(pixels.shape[2], pixels.dtype.itemsize * 8, bands)
    if (code := RGB_ORDER.get(bands.channels)) is not None:
        pixels = cv2.cvtColor(pixels, code)
    return pixels  # type: ignore[return-value]  # cv2's hints leave the dtype open


def _check(channels: int, bits: int, bands: Bands) -> None:
    if (channels, bits) != bands:
        raise BadSample(
            f"it has {channels} channels of {bits} bits, and data.channels and data.bits ask for {bands.channels} of "
            f"{bands.bits}"
        )
