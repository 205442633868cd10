"""Images: the fast decoder of the feed, and the strict check with which the shard stage stores them."""

import io

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.decode.limits import MAX_IMAGE_BYTES, BadSample, check_bytes
from pipeline.decode.probe import open_image, orientation

UInt8Array = npt.NDArray[np.uint8]


def decode_image(data: bytes | memoryview) -> UInt8Array:
    """Decode JPEG, PNG, WebP or BMP bytes to uint8 `[H, W, 3]` RGB.

    Grey becomes three equal channels, 16 bits become 8, alpha is dropped, and an EXIF orientation is applied. Lenient
    and fast: OpenCV 4 makes a partly grey picture of a truncated file; `check_and_store_image` refuses that.
    Raises `BadSample` for bytes that are no image at all.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise BadSample("the image cannot be decoded") from error
    if pixels is None:
        raise BadSample("the image cannot be decoded")
    return pixels  # type: ignore[return-value]  # cv2's hints leave the dtype open


def encode_jpeg(pixels: UInt8Array, quality: int) -> bytes:
    """JPEG bytes of uint8 `[H, W, 3]` RGB."""
    encoded, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise ValueError(f"cannot encode an image of shape {pixels.shape}")
    return data.tobytes()


def check_and_store_image(
    data: bytes, extension: str, short_side: int, quality: int, resize: bool
) -> tuple[bytes, str, int, int]:
    """Decode an image wholly and strictly, and return what to store: (bytes, extension, width, height).

    The source's bytes are kept under their own `extension` (with or without a dot; returned without, `jpeg` as `jpg`)
    when they need no change. An image whose short side exceeds `short_side` px is shrunk to it and becomes a JPEG of
    `quality`, unless `resize` is off. One with an EXIF orientation is stored upright, since readers of shards differ
    in whether they apply it. Raises `BadSample`, for truncated files too.
    """
    check_bytes(len(data), MAX_IMAGE_BYTES)
    check_chunks(data)
    with open_image(io.BytesIO(data)) as image:
        upright = orientation(image) == 1
        # Of a JPEG, only the brightness is made into pixels, which takes a quarter less time. All of its data are
        # still decoded, colours too, and errors are found there. Other formats take no notice.
        image.draft("L", None)
        try:
            image.load()
        except Exception as error:  # Pillow's decoders raise whatever broken data makes them
            raise BadSample(f"the image is broken or cut off: {error}") from error
        width, height = image.size if orientation(image) < 5 else image.size[::-1]
    shrink = resize and min(width, height) > short_side
    if upright and not shrink:
        name = extension.lower().removeprefix(".")
        return data, "jpg" if name == "jpeg" else name, width, height
    # Decoded again with the feed's decoder, so that a stored image looks as it would have unresized.
    pixels = decode_image(data)
    if shrink:
        scale = short_side / min(width, height)
        width, height = round(width * scale), round(height * scale)
        size = (width, height)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]  # as above
    return encode_jpeg(pixels, quality), "jpg", width, height


def check_chunks(data: bytes) -> None:
    """Raise `BadSample` for a PNG with a chunk longer than the file: OpenCV takes memory for it, up to 2 GB."""
    at = 8 if data.startswith(b"\x89PNG\r\n\x1a\n") else len(data)
    while at + 12 <= len(data):
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if at > len(data):
            raise BadSample("the image is broken or cut off: a part of it ends behind the file")
