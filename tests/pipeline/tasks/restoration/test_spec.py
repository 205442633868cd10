"""Crops of pairs: sizes are of the target."""

from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.tasks.restoration.spec import shrunk


def test_sizes_of_crops_are_divided_wherever_they_stand() -> None:
    spec: list[dict[str, Any]] = [
        {"OneOf": {"transforms": [{"RandomCrop": {"height": 96, "width": 48}}, "HorizontalFlip"], "p": 1}},
        {"Crop": {"x_min": 4, "y_min": 8, "x_max": 100, "y_max": 104}},
        {"D4": {}},
    ]
    assert shrunk(spec, 4) == [
        {
            "OneOf": {
                "transforms": [{"RandomCrop": {"height": 24, "width": 12}}, {"HorizontalFlip": {}}],
                "p": 1,
            }
        },
        {"Crop": {"x_min": 1, "y_min": 2, "x_max": 25, "y_max": 26}},
        {"D4": {}},
    ]


def test_a_size_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ZoetropeError, match=r"RandomCrop: .* height 97 is no multiple of 2; set it to 96"):
        shrunk([{"RandomCrop": {"height": 97, "width": 96}}], 2)
