from typing import Any

import numpy as np
import pytest

from augment.transforms import check, compose, output_shape
from pipeline.base.bands import Bands

COLOUR = ["HueSaturationValue", "ColorJitter", "RGBShift", "PlanckianJitter", "ISONoise", "Color", "RandAugment"]
ANY = [
    *("HorizontalFlip", "Rotate", "GaussianBlur", "RandomBrightnessContrast", "CoarseDropout", "ElasticTransform"),
    "Perspective",
]


@pytest.mark.parametrize("name", COLOUR)
def test_what_needs_three_channels_is_refused_by_name(name: str) -> None:
    assert check([{name: {}}], "augment.train") == []
    (line,) = check([{"OneOf": {"transforms": [{name: {}}]}}], "augment.train", bands=Bands(5))
    assert line.startswith(f"augment.train[0].OneOf.transforms[0].{name}: ")
    assert "5 bands of 8 bits; leave it out" in line


@pytest.mark.parametrize("bands", [Bands(1), Bands(2), Bands(4), Bands(7), Bands(3, 16), Bands(5, 16)], ids=str)
def test_the_others_transform_any_channels(bands: Bands) -> None:
    spec: list[dict[str, dict[str, Any]]] = [{name: {"p": 1.0}} for name in ANY]
    spec.append({"RandomResizedCrop": {"size": [16, 16]}})
    assert output_shape(spec, 32, bands=bands) == (16, 16)
    pixels = np.full((32, 40, bands.channels), bands.white // 2, bands.dtype)
    made = compose(spec, bands=bands)(pixels, "key")
    assert (made.shape, made.dtype) == ((16, 16, bands.channels), pixels.dtype)


def test_levels_of_eight_bits_are_no_levels_of_sixteen() -> None:
    spec: list[dict[str, dict[str, Any]]] = [
        {"Solarize": {}},
        {"Cutout": {"size": 8}},
        {"Posterize": {}},
        {"HorizontalFlip": {}},
    ]
    lines = check(spec, "augment.train", bands=Bands(3, 16))
    assert [line.partition(":")[0] for line in lines] == [
        "augment.train[0].Solarize",
        "augment.train[1].Cutout",
        "augment.train[2].Posterize",
    ]
    assert "is for levels of 8 bits, and the pictures are RGB of 16 bits" in lines[0]
