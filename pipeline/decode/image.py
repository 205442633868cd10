"""Images: the fast decoder of the feed, and the strict check with which the shard stage stores them."""

import io

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.decode.image_header import check_structure, is_plain, open_image, orientation, upright_size
from pipeline.decode.limits import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, BadSample, check_bytes, check_pixels

UInt8Array = npt.NDArray[np.uint8]

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


def decode_image(data: bytes | memoryview) -> UInt8Array:
    """Decode an image's bytes to uint8 `[H, W, 3]` RGB, upright.

    Grey becomes three equal channels, 16 bits become the upper 8, and alpha is dropped. OpenCV decodes what is plain,
    and is lenient: OpenCV 4 makes a partly grey picture of a truncated file; `check_image` refuses that. Pillow decodes
    the others. Raises `BadSample` for bytes that are no image at all.
    """
    if not is_plain(data):
        return _decode_with_pillow(data)
    try:
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION  # `is_plain` says that there is none
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise BadSample("the image cannot be decoded") from error
    if pixels is None:
        raise BadSample("the image cannot be decoded")
    return pixels  # type: ignore[return-value]  # cv2's hints leave the dtype open


def _decode_with_pillow(data: bytes | memoryview) -> UInt8Array:
    with open_image(io.BytesIO(data)) as image:
        try:
            image.load()  # which turns a TIFF already
            if image.mode.startswith("I"):  # made RGB, whatever is not nearly black would be white
                bits = image.tag_v2[BITS_PER_SAMPLE][0] if isinstance(image, TiffImageFile) else 16
                upright = Image.fromarray((np.asarray(image) >> bits - 8).astype(np.uint8)).convert("RGB")
            else:
                upright = image.convert("RGB")
            if (turn := TURNS.get(orientation(image))) is not None:
                upright = upright.transpose(turn)
        except Exception as error:  # Pillow's decoders raise whatever broken data makes them
            raise BadSample(f"the image is broken or cut off: {error}") from error
    return np.asarray(upright)


def encode_jpeg(pixels: UInt8Array, quality: int) -> bytes:
    """Encode as JPEG uint8 `[H, W, 3]` RGB."""
    encoded, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise ValueError(f"cannot encode an image of shape {pixels.shape}")
    return data.tobytes()


def encode_png(pixels: UInt8Array) -> bytes:
    """Encode RGB uint8 [H, W, 3] without loss."""
    encoded, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    if not encoded:
        raise ValueError(f"cannot encode an image of shape {pixels.shape}")
    return data.tobytes()


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
    data: bytes, extension: str, short_side: int, quality: int, resize: bool, cap_pixels: int = MAX_IMAGE_PIXELS
) -> tuple[bytes, str, int, int]:
    """Check an image as `check_image` does, and return what to store: (bytes, extension, width, height).

    The source's bytes are kept under their own `extension` (with or without a dot; returned without, `jpeg` and the
    like as `jpg`) when every reader of shards reads them well. An image whose short side exceeds `short_side` px is
    shrunk to it, unless `resize` is off. What is not kept is stored upright, as a JPEG of `quality`.
    """
    width, height, plain = check_image(data, cap_pixels)
    shrink = resize and min(width, height) > short_side
    if plain and not shrink:
        name = extension.lower().removeprefix(".")
        return data, "jpg" if name in JPEG_NAMES else name, width, height
    # Decoded again with the feed's decoder, so that a stored image looks as it would have unresized.
    pixels = decode_image(data)
    if shrink:
        scale = short_side / min(width, height)
        width, height = round(width * scale), round(height * scale)
        size = (width, height)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]  # as above
    if max(width, height) > MAX_JPEG_SIDE:
        raise BadSample(f"{width} x {height} pixels are too long for a JPEG of {MAX_JPEG_SIDE:,} at most; crop it")
    return encode_jpeg(pixels, quality), "jpg", width, height
