"""Instance maps: numbers of objects, of 8 or 16 bits, from their files to the feed."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.decode.instances import instances_as_objects, probe_instances, read_instances, store_instances
from pipeline.decode.limits import BadSample
from pipeline.decode.outlines import runs

OBJECTS = np.array([[0, 0, 300, 300], [7, 7, 300, 65_535]], np.uint16)


def png(pixels: np.ndarray, mode: str | None = None) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, "PNG")
    return file.getvalue()


def test_numbers_of_objects_come_back() -> None:
    data, classes = store_instances(png(OBJECTS), (4, 2), (4, 2), classes=2)
    assert (read_instances(data).dtype, read_instances(data).tolist()) == (np.uint16, OBJECTS.tolist())
    assert classes == {}
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "I;16"


@pytest.mark.parametrize("mode", ["L", "P"])
def test_maps_of_8_bits_are_stored_in_16(mode: str) -> None:
    numbers = (OBJECTS % 256).astype(np.uint8)
    content = png(numbers, mode)
    probe_instances(io.BytesIO(content), 4, 2)
    data, _ = store_instances(content, (4, 2), (4, 2), classes=2)
    assert (data[24], read_instances(data).tolist()) == (16, numbers.tolist())


def test_a_map_is_made_smaller_by_the_nearest_pixel() -> None:
    wide = np.full((3, 9), 9, np.uint16)
    wide[1, 1::3] = [0, 1000, 40_000]
    data, _ = store_instances(png(wide), (9, 3), (3, 1), classes=2)
    assert read_instances(data).tolist() == [[0, 1000, 40_000]]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (png(OBJECTS[:, :3]), "it has 3 x 2 pixels, and its picture 4 x 2"),
        (png(np.zeros((2, 4, 3), np.uint8)), "it should be a PNG of 8 or 16 bits of grey: the number of an object a "),
        (b"\xff\xd8" + b"a" * 30, "its content is no PNG"),
    ],
)
def test_what_is_none(content: bytes, says: str) -> None:
    with pytest.raises(BadSample) as caught:
        probe_instances(io.BytesIO(content), 4, 2)
    assert caught.value.reason.startswith(says)


def test_a_damaged_one_is_refused() -> None:
    with pytest.raises(BadSample, match="broken or cut off"):
        store_instances(png(OBJECTS)[:-20], (4, 2), (4, 2), classes=2)


def test_a_map_is_objects_with_outlines() -> None:
    found = instances_as_objects(OBJECTS, "nucleus")
    assert found["boxes"] == [[0, 1, 2, 2], [2, 0, 4, 2], [3, 1, 4, 2]]
    assert (found["areas"], found["size"], found["classes"]) == ([2, 3, 1], [4, 2], ["nucleus"] * 3)
    drawn = [runs(one, 4, 2) for one in found["outlines"]]
    assert all(np.array_equal(one, number == OBJECTS) for one, number in zip(drawn, (7, 300, 65_535), strict=True))
    assert instances_as_objects(np.zeros((2, 4), np.uint16), "nucleus")["boxes"] == []
