"""Pictures of many bands and of 16 bits, as files hold them and as they are stored."""

import io
import re
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.base.bands import Bands
from pipeline.decode.arrays import array_size, encode_array, read_array
from pipeline.decode.image import check_and_store_image, decode_image, encode_lossless
from pipeline.decode.limits import BadSample
from pipeline.decode.tiff import unpacked
from tests.pipeline.decode.tiffs import tiff

WIDE = Bands(5, 16)


def picture(bands: Bands, height: int = 20, width: int = 24) -> np.ndarray:
    """[H, W, C] of noise."""
    noise = np.random.default_rng(0).integers(0, bands.white + 1, (height, width, bands.channels))
    return noise.astype(bands.dtype)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def as_png(pixels: np.ndarray) -> bytes:
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}.get(pixels.shape[-1])
    return cv2.imencode(".png", pixels if order is None else cv2.cvtColor(pixels, order))[1].tobytes()


@pytest.mark.parametrize("bands", [Bands(2), Bands(5), WIDE, Bands(1, 16)], ids=str)
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"order": ">"},
        {"planar": True},
        {"deflate": True},
        {"deflate": True, "differences": True, "order": ">"},
        {"compression": "tiff_lzw"},
        {"compression": "packbits", "order": ">"},
        {"compression": "tiff_lzw", "differences": True, "planar": True},
        {"compression": "tiff_lzw", "tile": 16, "order": ">"},
        {"tile": 16, "planar": True},
        {"tile": 16, "deflate": True, "differences": True},
    ],
    ids=str,
)
def test_a_tiff_is_read_as_it_is(bands: Bands, how: dict[str, Any]) -> None:
    pixels = picture(bands)
    data = tiff(pixels, **how)
    assert array_size(io.BytesIO(data), bands) == (24, 20)
    read = read_array(data, bands)
    assert read.dtype == pixels.dtype
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_png_of_16_bits_is_read_as_it_is(channels: int) -> None:
    bands = Bands(channels, 16)
    pixels = picture(bands)
    assert array_size(io.BytesIO(as_png(pixels)), bands) == (24, 20)
    np.testing.assert_array_equal(read_array(as_png(pixels), bands), pixels)


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_an_npy_is_read_as_it_is(dtype: str) -> None:
    pixels = picture(WIDE)
    for array in (pixels.astype(dtype), np.asfortranarray(pixels.astype(dtype))):
        read = read_array(npy(array), WIDE)
        assert read.dtype == np.uint16
        assert read.flags.c_contiguous
        np.testing.assert_array_equal(read, pixels)
    grey = picture(Bands(1, 16))
    np.testing.assert_array_equal(read_array(npy(grey[..., 0]), Bands(1, 16)), grey)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (
            npy(picture(Bands(4, 16))),
            "it is uint16 [20, 24, 4], and data.channels and data.bits ask for uint16 [H, W, 5]",
        ),
        (npy(picture(Bands(5))), "it is uint8 [20, 24, 5]"),
        (npy(picture(WIDE).astype(np.int16)), "it is int16"),
        (npy(picture(WIDE))[:-1], "it has 4,799 bytes of levels, and its header says 4,800"),
        (npy(np.array([None] * 3)), "it is object [3]"),
        (b"\x93NUMPY\1\0\xff\xffxx", "its header is broken"),
        (tiff(picture(Bands(4, 16))), "it has 4 channels of 16 bits, and data.channels and data.bits ask for 5 of 16"),
        (tiff(picture(WIDE))[:40], "its header is broken"),
        (tiff(picture(WIDE), t259=7), "its compression, number 7, cannot be read; save it uncompressed"),
        (tiff(picture(WIDE), t259=5), "the image is broken: "),
        (tiff(picture(WIDE), t339=3), "its levels are signed or fractions"),
        (tiff(picture(WIDE), t274=6), "it is to be turned"),
        (tiff(picture(WIDE), t278=3), "it has 3 parts of the 7 that its size asks for"),
        (as_png(picture(Bands(3, 16))), "it has 3 channels of 16 bits"),
        (b"\xff\xd8 no picture", "its content is no image"),
    ],
)
def test_what_is_no_such_picture_is_refused_in_words(data: bytes, why: str) -> None:
    with pytest.raises(BadSample, match=re.escape(why)):
        read_array(data, WIDE)


def test_lzw_by_hand() -> None:
    """The example of TIFF 6.0, section 13: 7 7 7 8 8 7 7 6 6 as the codes clear 7 258 8 8 258 6 6 end, 9 bits each."""
    codes = [256, 7, 258, 8, 8, 258, 6, 6, 257]
    bits = "".join(f"{code:09b}" for code in codes).ljust(88, "0")
    data = int(bits, 2).to_bytes(11)
    assert unpacked(data, 5, 3, 3) == bytes([7, 7, 7, 8, 8, 7, 7, 6, 6])
    with pytest.raises(BadSample, match="the image is broken"):
        unpacked(data, 5, 4, 3)
    assert unpacked(b"\xfe\x07\x02\x01\x02\x03", 32773, 2, 3) == bytes([7, 7, 7, 1, 2, 3])  # PackBits
    with pytest.raises(BadSample, match="the image is broken"):
        unpacked(b"\xfe\x07", 32773, 2, 3)


def test_nothing_is_made_room_for_that_is_not_there() -> None:
    header = np.lib.format.header_data_from_array_1_0(picture(WIDE)) | {"shape": (9000, 9000, 5)}
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(BadSample, match="0 bytes of levels, and its header says 810,000,000"):
        read_array(file.getvalue(), WIDE)
    with pytest.raises(BadSample, match="24 x 20 pixels are more than the 100 allowed"):
        read_array(npy(picture(WIDE)), WIDE, 100)


def test_arrays_are_stored_as_they_are_or_smaller() -> None:
    pixels = picture(WIDE, 40, 48)
    data, extension, *size = check_and_store_image(tiff(pixels), ".tif", 512, 95, True, bands=WIDE)
    assert (extension, size, data) == ("npy", [48, 40], encode_array(pixels))
    np.testing.assert_array_equal(decode_image(data, WIDE), pixels)
    data, extension, *size = check_and_store_image(npy(pixels), ".npy", 20, 95, True, bands=WIDE)
    assert (extension, size) == ("npy", [24, 20])
    means = pixels.reshape(20, 2, 24, 2, 5).mean((1, 3))
    assert np.abs(decode_image(data, WIDE) - means).max() <= 1


def test_grey_and_rgba_are_ordinary_pictures() -> None:
    rgb, grey, rgba = (picture(Bands(channels)) for channels in (3, 1, 4))
    np.testing.assert_array_equal(decode_image(as_png(grey), Bands(1)), grey)
    np.testing.assert_array_equal(decode_image(as_png(rgba), Bands(4)), rgba)
    opaque = decode_image(as_png(rgb), Bands(4))
    np.testing.assert_array_equal(opaque[..., :3], rgb)
    assert (opaque[..., 3] == 255).all()
    brightness = rgb @ np.array([0.299, 0.587, 0.114])
    assert np.abs(decode_image(as_png(rgb), Bands(1))[..., 0] - brightness).max() <= 1

    data = as_png(rgba)
    assert check_and_store_image(data, ".png", 512, 95, True, bands=Bands(4)) == (data, "png", 24, 20)
    data, extension, *size = check_and_store_image(data, ".png", 16, 95, True, bands=Bands(4))
    assert (extension, size, decode_image(data, Bands(4)).shape) == ("png", [19, 16], (16, 19, 4))
    data, extension, *size = check_and_store_image(as_png(grey), ".png", 16, 95, True, bands=Bands(1))
    assert (extension, size, decode_image(data, Bands(1)).shape) == ("jpg", [19, 16], (16, 19, 1))


@pytest.mark.parametrize("bands", [Bands(1), Bands(), Bands(4), WIDE], ids=str)
def test_what_is_encoded_without_loss_comes_back(bands: Bands) -> None:
    pixels = picture(bands)
    data, extension = encode_lossless(pixels, bands)
    assert extension == ("png" if bands.as_files else "npy")
    np.testing.assert_array_equal(decode_image(data, bands), pixels)
    with pytest.raises(ValueError, match="an array is"):
        encode_lossless(pixels.astype(float), bands)
