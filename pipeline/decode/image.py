"""Images: the fast decoder of the feed, and the strict check with which the shard stage stores them."""

import io

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.base.bands import RGB, Bands
from pipeline.decode.arrays import encode_array, read_array
from pipeline.decode.image_header import check_structure, is_plain, open_image, orientation, upright_size
from pipeline.decode.limits import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, BadSample, check_bytes, check_pixels

UInt8Array = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

STORED = frozenset({"JPEG", "MPO", "PNG", "WEBP", "BMP"})
"""What OpenCV and other readers of shards decode well. MPO: a JPEG that others follow."""
MAX_JPEG_SIDE = 65_500
"""Pixels, as libjpeg has it."""
JPEG_NAMES = frozenset({"jpeg", "jpe", "jfif"})
BITS_PER_SAMPLE = 258  # TIFF's tag
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of an EXIF orientation upright."""
GREY = Bands(1)
CV2_ORDER = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
"""What makes pixels of so many channels into what OpenCV encodes."""


def decode_image(data: bytes | memoryview, bands: Bands = RGB) -> UInt8Array:
    """Decode an image's bytes to uint8 `[H, W, 3]` RGB, upright; or to `[H, W, C]` of other `bands`.

    As RGB, grey becomes three equal channels, 16 bits become the upper 8, and alpha is dropped. As grey, RGB becomes
    its brightness (ITU-R BT.601); as RGBA, what has no alpha is opaque. Of 16 bits, or of other numbers of channels,
    levels are as they are in the file, see `read_array`. OpenCV decodes what is plain, and is lenient: OpenCV 4 makes a
    partly grey picture of a truncated file; `check_image` refuses that. Pillow decodes the others. Raises `BadSample`
    for bytes that are no image at all.
    """
    if not bands.as_files:
        return read_array(data, bands)  # type: ignore[return-value]  # of 8 bits or of 16
    if bands.colours == "RGBA":
        return _decode_with_pillow(data, "RGBA")
    pixels = _decode_rgb(data)
    return pixels if bands == RGB else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]  # type: ignore[return-value]


def _decode_rgb(data: bytes | memoryview) -> UInt8Array:
    if not is_plain(data):
        return _decode_with_pillow(data, "RGB")
    try:
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION  # `is_plain` says that there is none
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise BadSample("the image cannot be decoded") from error
    if pixels is None:
        raise BadSample("the image cannot be decoded")
    return pixels  # type: ignore[return-value]  # cv2's hints leave the dtype open


def _decode_with_pillow(data: bytes | memoryview, mode: str) -> UInt8Array:
    with open_image(io.BytesIO(data)) as image:
        try:
            image.load()  # which turns a TIFF already
            if image.mode.startswith("I"):  # made RGB, whatever is not nearly black would be white
                bits = image.tag_v2[BITS_PER_SAMPLE][0] if isinstance(image, TiffImageFile) else 16
                upright = Image.fromarray((np.asarray(image) >> bits - 8).astype(np.uint8)).convert(mode)
            else:
                upright = image.convert(mode)
            if (turn := TURNS.get(orientation(image))) is not None:
                upright = upright.transpose(turn)
        except Exception as error:  # Pillow's decoders raise whatever broken data makes them
            raise BadSample(f"the image is broken or cut off: {error}") from error
    return np.asarray(upright)


def encode_jpeg(pixels: UInt8Array, quality: int) -> bytes:
    """Encode as JPEG uint8 `[H, W, 3]` RGB, or `[H, W, 1]` grey."""
    encoded, data = cv2.imencode(".jpg", _in_cv2_order(pixels), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise ValueError(f"cannot encode an image of shape {pixels.shape}")
    return data.tobytes()


def encode_png(pixels: UInt8Array) -> bytes:
    """Encode RGB uint8 [H, W, 3], grey [H, W, 1] or RGBA [H, W, 4] without loss."""
    encoded, data = cv2.imencode(".png", _in_cv2_order(pixels))
    if not encoded:
        raise ValueError(f"cannot encode an image of shape {pixels.shape}")
    return data.tobytes()


def encode_lossless(pixels: Levels, bands: Bands) -> tuple[bytes, str]:
    """Encode pixels [H, W, C] of these bands as (bytes, extension): PNG, or npy where that is what they are stored as.

    ValueError for pixels of others.
    """
    if pixels.dtype != bands.dtype or pixels.ndim != 3 or pixels.shape[-1] != bands.channels or not pixels.size:
        raise ValueError(f"an array is {bands.dtype} [H, W, {bands.channels}], {bands.colours}")
    return (encode_png(pixels), "png") if bands.as_files else (encode_array(pixels), "npy")  # type: ignore[arg-type]


def _in_cv2_order(pixels: UInt8Array) -> npt.NDArray[np.integer]:
    code = CV2_ORDER.get(pixels.shape[-1])
    return pixels if code is None else cv2.cvtColor(pixels, code)  # type: ignore[return-value]  # as above


def check_image(data: bytes, cap_pixels: int = MAX_IMAGE_PIXELS) -> tuple[int, int, bool]:
    """Decode an image wholly and strictly, and return (width, height, whether any reader of shards sees it as we do).

    Width and height are those of the upright picture. Raises `BadSample`, for truncated files too.
    """
    check_bytes(len(data), MAX_IMAGE_BYTES)
    check_structure(data)
    with open_image(io.BytesIO(data)) as image:
        check_pixels(image.width, image.height, cap_pixels)
        # Readers of shards differ in whether they turn pictures, and Pillow makes white of 16 bits of grey.
        plain = image.format in STORED and orientation(image) == 1 and not image.mode.startswith("I")
        width, height = upright_size(image)
        # Of a JPEG, only the brightness is made into pixels, which takes a quarter less time. All of its data are
        # still decoded, colours too, and errors are found there. Other formats take no notice.
        image.draft("L", None)
        try:
            image.load()
        except Exception as error:  # as above
            raise BadSample(f"the image is broken or cut off: {error}") from error
    return width, height, plain


def check_and_store_image(
    data: bytes,
    extension: str,
    short_side: int,
    quality: int,
    resize: bool,
    cap_pixels: int = MAX_IMAGE_PIXELS,
    bands: Bands = RGB,
) -> tuple[bytes, str, int, int]:
    """Check an image as `check_image` does, and return what to store: (bytes, extension, width, height).

    The source's bytes are kept under their own `extension` (with or without a dot; returned without, `jpeg` and the
    like as `jpg`) when every reader of shards reads them well. An image whose short side exceeds `short_side` px is
    shrunk to it, unless `resize` is off. What is not kept is stored upright, as a JPEG of `quality`; with alpha, as
    PNG. Pictures that are arrays are always stored as npy.
    """
    if bands.as_files:
        width, height, plain = check_image(data, cap_pixels)
    else:
        height, width = read_array(data, bands, cap_pixels).shape[:2]
        plain = False
    shrink = resize and min(width, height) > short_side
    if plain and not shrink:
        name = extension.lower().removeprefix(".")
        return data, "jpg" if name in JPEG_NAMES else name, width, height
    # Decoded again with the feed's decoder, so that a stored image looks as it would have unresized.
    pixels = decode_image(data, bands)
    if shrink:
        scale = short_side / min(width, height)
        width, height = round(width * scale), round(height * scale)
        size = (width, height)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]  # as above
        pixels = pixels.reshape(height, width, bands.channels)  # of one channel, OpenCV leaves the axis out
    if bands not in (RGB, GREY):
        return *encode_lossless(pixels, bands), width, height
    if max(width, height) > MAX_JPEG_SIDE:
        raise BadSample(f"{width} x {height} pixels are too long for a JPEG of {MAX_JPEG_SIDE:,} at most; crop it")
    return encode_jpeg(pixels, quality), "jpg", width, height
