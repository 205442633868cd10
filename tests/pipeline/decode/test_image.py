"""Images of every kind are decoded alike, stored upright, and refused when broken."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pipeline.decode.image import check_and_store_image, decode_image, encode_jpeg
from pipeline.decode.limits import BadSample

UInt8Array = npt.NDArray[np.uint8]


def picture(height: int = 48, width: int = 80) -> UInt8Array:
    """Smooth, with a red left half and a blue right half, darker downwards."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 220
    pixels[:, width // 2 :, 2] = 220
    return (pixels * np.linspace(1, 0.4, height)[:, None, None]).astype(np.uint8)


def saved(image: Image.Image, name: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def rotated(value: int, name: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return saved(Image.fromarray(picture()), name, exif=exif, **({"quality": 95} if name == "JPEG" else {}))


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [("PNG", {}, 0), ("BMP", {}, 0), ("WEBP", {"lossless": True}, 0), ("JPEG", {"quality": 95, "subsampling": 0}, 6)],
)
def test_formats(name: str, options: dict[str, Any], tolerance: int) -> None:
    data = saved(Image.fromarray(picture()), name, **options)
    for given in (data, memoryview(data)):
        pixels = decode_image(given)
        assert pixels.shape == (48, 80, 3)
        assert pixels.dtype == np.uint8
        assert np.abs(pixels.astype(int) - picture()).max() <= tolerance
    assert check_and_store_image(data, ".X", 256, 95, True) == (data, "x", 80, 48)


@pytest.mark.parametrize(
    ("image", "name", "colour"),
    [
        (Image.new("L", (8, 6), 77), "PNG", (77, 77, 77)),
        (Image.new("RGBA", (8, 6), (1, 200, 3, 0)), "PNG", (1, 200, 3)),
        (
            Image.new(
                "P",
                (8, 6),
                1,
            ),
            "PNG",
            (10, 120, 250),
        ),
        (Image.fromarray(np.full((6, 8), 40_000, np.uint16)), "PNG", (156, 156, 156)),
        (Image.new("1", (8, 6), 1), "PNG", (255, 255, 255)),
        (Image.new("CMYK", (8, 6), (0, 255, 255, 0)), "JPEG", (255, 0, 0)),
        (Image.new("L", (8, 6), 77), "JPEG", (77, 77, 77)),
    ],
    ids=["grey", "alpha", "palette", "16-bit", "1-bit", "cmyk", "grey-jpeg"],
)
def test_modes_become_rgb(image: Image.Image, name: str, colour: tuple[int, int, int]) -> None:
    if image.mode == "P":
        image.putpalette([0, 0, 0, 10, 120, 250])
    data = saved(image, name)
    pixels = decode_image(data)
    assert pixels.shape == (6, 8, 3)
    assert np.abs(pixels.astype(int) - colour).max() <= 2
    stored, extension, width, height = check_and_store_image(data, name.lower(), 4, 95, True)
    assert (extension, width, height) == ("jpg", 5, 4)
    assert np.abs(decode_image(stored).astype(int) - colour).max() <= 3


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("value", "turns"), [(3, 2), (6, 3), (8, 1)])
@pytest.mark.parametrize("resize", [True, False])
def test_exif_orientation_is_applied_once(name: str, value: int, turns: int, resize: bool) -> None:
    stored, extension, width, height = check_and_store_image(rotated(value, name), ".jpeg", 256, 95, resize)
    expected = np.rot90(picture(), turns)
    assert (height, width) == expected.shape[:2]
    assert extension == "jpg"
    with Image.open(io.BytesIO(stored)) as image:
        assert image.getexif().get(0x0112, 1) == 1
        assert np.abs(np.asarray(image).astype(int) - expected).mean() < 3
    assert np.abs(decode_image(stored).astype(int) - expected).mean() < 3
    if name == "JPEG":  # a user's own photograph, at prediction
        assert np.abs(decode_image(rotated(value)).astype(int) - expected).mean() < 3


def test_large_images_shrink_to_the_short_side() -> None:
    data = saved(Image.fromarray(picture(96, 161)), "PNG")
    stored, extension, width, height = check_and_store_image(data, "png", 48, 95, True)
    assert (extension, width, height) == ("jpg", 80, 48)
    assert stored[:2] == b"\xff\xd8"
    assert np.abs(decode_image(stored)[:, :36].astype(int) - picture()[:, :36]).mean() < 3
    assert check_and_store_image(data, "png", 48, 95, False) == (data, "png", 161, 96)
    assert check_and_store_image(data, "jpeg", 96, 95, True) == (data, "jpg", 161, 96)
    assert check_and_store_image(data, "png", 48, 95, True)[0] == stored


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_truncated_images_are_refused(name: str, share: float) -> None:
    noise = np.random.Generator(np.random.Philox(0)).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), name)
    with pytest.raises(BadSample, match=r"broken|cut off"):
        check_and_store_image(data[: int(len(data) * share)], "jpg", 256, 95, True)


@pytest.mark.parametrize("lost", [1, 4, 11, 12])
def test_a_png_cut_off_in_its_last_twelve_bytes_is_refused(lost: int) -> None:
    data = saved(Image.fromarray(picture(24, 36)), "PNG")
    with pytest.raises(BadSample, match="cut off: its end is missing"):
        check_and_store_image(data[:-lost], "png", 256, 95, True)


def test_damage_that_pillow_overlooks_in_a_png_is_refused() -> None:
    data = bytearray(saved(Image.fromarray(picture(24, 36)), "PNG"))
    last = data.rindex(b"IEND") - 8  # of the pixels' checksum
    for at in (last, data.rindex(b"IEND") + 1):
        damaged = bytearray(data)
        damaged[at] ^= 0x80
        with Image.open(io.BytesIO(damaged)) as image:
            image.load()
        with pytest.raises(BadSample, match="the checksum of a part of it is wrong, or its name is none"):
            check_and_store_image(bytes(damaged), "png", 256, 95, True)


def test_a_picture_too_long_for_a_jpeg_is_refused() -> None:
    strip = Image.new("RGB", (65_501, 2))
    with pytest.raises(BadSample, match=r"^65501 x 2 pixels are too long for a JPEG of 65,500 at most; crop it$"):
        check_and_store_image(saved(strip, "TIFF"), "tif", 256, 95, True)
    assert check_and_store_image(saved(strip, "PNG"), "png", 256, 95, True)[1:] == ("png", 65_501, 2)
    assert check_and_store_image(saved(strip.crop((0, 0, 65_500, 2)), "TIFF"), "tif", 256, 95, True)[1] == "jpg"


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {}),
        ("RGB", {"progressive": True}),
        ("RGB", {"subsampling": 0}),
        ("RGB", {"keep_rgb": True}),
        ("CMYK", {}),
    ],
)
def test_damage_in_a_jpeg_is_found_as_by_decoding_its_colours_too(mode: str, options: dict[str, Any]) -> None:
    """Or not found: some damage only gives other pixels."""
    rng = np.random.Generator(np.random.Philox(1))
    whole = saved(Image.fromarray(picture()).convert(mode), "JPEG", quality=90, **options)
    seen = set()
    for _ in range(300):
        data = np.frombuffer(whole, np.uint8).copy()
        data[rng.integers(2, len(data), rng.choice([0, 1, 3, 20]))] = rng.integers(256)
        given = data[: len(data) if rng.random() < 0.8 else rng.integers(100, len(data))].tobytes()
        found = [
            refused(load_colours, given),
            refused(lambda one: check_and_store_image(one, "jpg", 999, 95, True), given),
        ]
        assert found[0] == found[1]
        seen.add(found[0])
    assert seen == {False, True}


def load_colours(data: bytes) -> None:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        image.load()


def refused(work: Callable[[bytes], Any], data: bytes) -> bool:
    try:
        work(data)
    except Exception:  # Pillow raises many kinds
        return True
    return False


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "empty"), (b"hello, I am a text " * 9, "no image that can be read")]
)
def test_what_is_no_image(data: bytes, reason: str) -> None:
    with pytest.raises(BadSample, match=reason):
        check_and_store_image(data, "jpg", 256, 95, True)
    with pytest.raises(BadSample, match="no image that can be read"):
        decode_image(data)


def test_encode_jpeg_keeps_the_channel_order() -> None:
    pixels = np.full((8, 8, 3), (200, 30, 10), np.uint8)
    assert np.abs(decode_image(encode_jpeg(pixels, 95)).astype(int) - pixels).max() <= 3
