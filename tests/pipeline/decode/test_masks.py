"""Masks of classes: what is taken for one, how it is made smaller, and that values come back as they were."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.decode.image_header import ORIENTATION
from pipeline.decode.limits import MAX_IMAGE_BYTES, BadSample
from pipeline.decode.masks import count_mask, probe_mask, read_mask, store_mask
from pipeline.decode.values import Values, packed

SMALL = np.array([[0, 1, 2, 2], [0, 1, 255, 2]], np.uint8)
"""4 x 2 px of three classes."""
SIZE = (4, 2)


def png(pixels: Any = SMALL, mode: str | None = None, **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(file, "PNG", **options)
    return file.getvalue()


def palette(pixels: np.ndarray, bits: int = 8) -> bytes:
    """As PASCAL VOC's: the values are numbers of colours."""
    image = Image.fromarray(pixels)
    image.putpalette([value for colour in range(256) for value in (colour, 255 - colour, 7)])
    return png(image, bits=bits)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return png(exif=exif)


def test_what_is_stored_is_a_png_of_8_bit_grey_for_any_reader() -> None:
    data, found = store_mask(palette(SMALL), SIZE, SIZE, classes=3)
    assert data[:33].hex() == "89504e470d0a1a0a0000000d49484452000000040000000208000000005ac322bf"
    with Image.open(io.BytesIO(data)) as image:
        assert (image.mode, np.asarray(image).tolist()) == ("L", [[0, 1, 2, 2], [0, 1, 255, 2]])
    assert found == {0: 2, 1: 2, 2: 3}


@pytest.mark.parametrize(
    "content",
    [
        png(),
        png(transparency=1),
        palette(SMALL),
        palette(np.minimum(SMALL, 3), bits=2),
        turned(1),
        png(compress_level=0) + b"\0" * 100,
    ],
    ids=["grey", "transparent", "palette", "palette-of-2-bits", "upright", "longer"],
)
def test_every_way_to_save_the_same_numbers(content: bytes) -> None:
    expected = SMALL if read_mask(content).max() == 255 else np.minimum(SMALL, 3)
    assert read_mask(content).tolist() == expected.tolist()
    probe_mask(io.BytesIO(content), *SIZE)
    data, found = store_mask(content, SIZE, SIZE, classes=4)
    assert read_mask(data).tolist() == expected.tolist()
    assert found == {label: int((expected == label).sum()) for label in range(4) if label in expected}


def test_it_is_made_smaller_by_the_nearest_pixel() -> None:
    """A third of the size: the middle of each 3 x 3, as the centres of pixels have it."""
    wide = np.full((3, 9), 9, np.uint8)
    wide[1, 1::3] = [0, 1, 255]
    data, found = store_mask(png(wide), (9, 3), (3, 1), classes=10)
    assert read_mask(data).tolist() == [[0, 1, 255]]
    assert found == {0: 1, 1: 1}  # of what is stored


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 254), st.integers(0, 9))
def test_no_value_is_made_up(width: int, height: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, classes + 1, (height, width)).astype(np.uint8)
    pixels[pixels == classes] = 255
    stored_size = (-(-width // 2), -(-height // 3))
    whole, _ = store_mask(png(pixels), (width, height), (width, height), classes)
    assert np.array_equal(read_mask(whole), pixels)
    data, found = store_mask(png(pixels), (width, height), stored_size, classes)
    made = read_mask(data)
    assert made.shape == stored_size[::-1]
    assert set(np.unique(made)) <= set(np.unique(pixels))
    assert found == {label: int((made == label).sum()) for label in np.unique(made).tolist() if label < 255}


NOT_A_MASK = "and masks have 8 bits of grey or a palette: the number of a class a pixel"
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty (zero bytes)"),
    "short": (png()[:20], "its content is no PNG, and a mask is one: a JPEG's values are not exact"),
    "text": (b"a" * 100, "its content is no PNG, and a mask is one: a JPEG's values are not exact"),
    "colours": (png(mode="RGB"), f"it is a PNG of 8 bits of RGB, {NOT_A_MASK}"),
    "alpha": (png(mode="LA"), f"it is a PNG of 8 bits of grey with alpha, {NOT_A_MASK}"),
    "16 bits": (png(SMALL.astype(np.uint16)), f"it is a PNG of 16 bits of grey, {NOT_A_MASK}"),
    "1 bit": (png(mode="1"), f"it is a PNG of 1 bits of grey, {NOT_A_MASK}"),
    "smaller": (png(SMALL[:, :3]), "it has 3 x 2 pixels, and its picture 4 x 2"),
    "on its side": (
        png(SMALL.T),
        "it has 2 x 4 pixels, and its picture 4 x 2 as it is shown: EXIF may turn a photograph, and a mask is saved "
        "as its picture is shown",
    ),
}
BROKEN: dict[str, tuple[bytes, str]] = {
    "value": (png(np.where(SMALL == 2, 7, SMALL).astype(np.uint8)), "it has the value 7 in 3 pixels; values are "),
    "254": (
        png(np.where(SMALL == 1, 254, SMALL).astype(np.uint8)),
        "it has the value 254 in 2 pixels; values are ",
    ),
    "cut off": (png()[:-20], "the image is broken or cut off: a part of it ends behind the file"),
    "damaged": (png()[:50] + b"\xff" + png()[51:], "the image is broken: the checksum of a part of it is wrong"),
    "turned": (turned(6), "it asks to be turned (EXIF); save it as its picture is shown"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_header_shows(name: str) -> None:
    content, reason = REFUSED[name]
    for look in (
        lambda: probe_mask(io.BytesIO(content), *SIZE),
        lambda: store_mask(content, SIZE, SIZE, classes=3),
    ):
        with pytest.raises(BadSample) as caught:
            look()
        assert str(caught.value) == reason


@pytest.mark.parametrize("name", BROKEN)
def test_what_only_the_pixels_show(name: str) -> None:
    content, reason = BROKEN[name]
    probe_mask(io.BytesIO(content), *SIZE)
    with pytest.raises(BadSample) as caught:
        store_mask(content, SIZE, SIZE, classes=3)
    assert str(caught.value).startswith(reason)


def test_the_words_for_a_value_name_those_that_are_right() -> None:
    with pytest.raises(BadSample) as caught:
        store_mask(png(), SIZE, SIZE, classes=2)
    assert str(caught.value) == (
        "it has the value 2 in 3 pixels; values are the numbers of 2 classes, 0 to 1, and 255 where no class counts"
    )


def test_caps(tmp_path: Path) -> None:
    huge = bytearray(png())
    huge[16:24] = (100_000).to_bytes(4, "big") * 2
    with pytest.raises(BadSample, match=r"^100000 x 100000 pixels are more than the 89,478,485 allowed$"):
        probe_mask(io.BytesIO(huge), 100_000, 100_000)
    with (tmp_path / "sparse.png").open("w+b") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)
        with pytest.raises(BadSample, match=r"^the file has 134,217,729 bytes, more than the 134,217,728 allowed$"):
            probe_mask(file, *SIZE)


@pytest.mark.parametrize("content", [b"", b"\x89PNG", png()[:40], palette(SMALL)[:-30], turned(3)])
def test_the_feed_gets_a_bad_sample_for_what_is_none(content: bytes) -> None:
    with pytest.raises(BadSample):
        read_mask(content)


WIDE = (SMALL.astype(np.uint16) * 256) + 7
MEANING = {
    "16 bits": (png(WIDE), Values({7: 0, 263: 1, 519: 2, 65287: 255})),
    "8 bits": (png(SMALL), Values({0: 0, 1: 1, 2: 2, 255: 255})),
    "palette": (palette(SMALL), Values({0: 0, 1: 1, 2: 2, 255: 255})),
    "colours": (
        png(np.stack([SMALL, 255 - SMALL, np.full_like(SMALL, 9)], 2)),
        Values({packed(v, 255 - v, 9): 255 if v == 255 else v for v in (0, 1, 2, 255)}, colours=True),
    ),
    "colours of a palette": (
        palette(SMALL),
        Values({packed(v, 255 - v, 7): 255 if v == 255 else v for v in (0, 1, 2, 255)}, colours=True),
    ),
    "colours with alpha": (
        png(np.stack([SMALL] * 3 + [255 - SMALL], 2)),
        Values({packed(v, v, v): 255 if v == 255 else v for v in (0, 1, 2, 255)}, colours=True),
    ),
}


@pytest.mark.parametrize("name", MEANING)
def test_values_of_every_kind_are_stored_as_class_numbers(name: str) -> None:
    content, values = MEANING[name]
    probe_mask(io.BytesIO(content), *SIZE, values)
    assert sum(count_mask(content, values).values()) == 8
    data, found = store_mask(content, SIZE, SIZE, 3, values)
    assert read_mask(data).tolist() == SMALL.tolist()
    assert read_mask(content, values).tolist() == SMALL.tolist()  # as an adopted tar has it
    assert found == {0: 2, 1: 2, 2: 3}


@pytest.mark.parametrize("mode", ["L", "1"])
def test_what_a_source_says_of_255_beats_what_it_means_elsewhere(mode: str) -> None:
    white = 255 if mode == "L" else 1
    pixels = np.where(SMALL == 1, 255, 0).astype(np.uint8)
    data, found = store_mask(png(pixels, mode), SIZE, SIZE, 2, Values({0: 0, white: 1}))
    assert read_mask(data).tolist() == (SMALL == 1).tolist()
    assert found == {0: 6, 1: 2}


def test_values_are_mapped_before_a_mask_is_made_smaller() -> None:
    wide = np.full((3, 9), 700, np.uint16)
    wide[1, 1::3] = [10, 20, 30]
    data, found = store_mask(png(wide), (9, 3), (3, 1), 2, Values({700: 0, 10: 1, 20: 255, 30: 0}))
    assert read_mask(data).tolist() == [[1, 255, 0]]
    assert found == {0: 1, 1: 1}


@pytest.mark.parametrize(
    ("content", "values", "says"),
    [
        (png(mode="RGB"), Values({0: 0}), "it is a PNG of 8 bits of RGB, and masks have 8 or 16 bits of grey or a "),
        (png(), Values({0: 0}, colours=True), "it is a PNG of 8 bits of grey, and data.source.classes names colours"),
        (png(mode="LA"), Values({}, colours=None), "it is a PNG of 8 bits of grey with alpha, and masks have "),
        (png(WIDE), None, "it is a PNG of 16 bits of grey, and masks have 8 bits of grey or a palette"),
    ],
)
def test_kinds_that_do_not_fit_what_the_source_says(content: bytes, values: Values | None, says: str) -> None:
    with pytest.raises(BadSample) as caught:
        probe_mask(io.BytesIO(content), *SIZE, values)
    assert caught.value.reason.startswith(says)


def test_where_a_source_says_nothing_colours_are_told_from_numbers() -> None:
    unknown = Values({}, colours=None)
    assert count_mask(png(), unknown) == {0: 2, 1: 2, 2: 3, 255: 1}
    counts = count_mask(png(mode="RGB"), unknown)
    assert {unknown.written(value): pixels for value, pixels in counts.items()} == {
        "0 0 0": 2,
        "1 1 1": 2,
        "2 2 2": 3,
        "255 255 255": 1,
    }
