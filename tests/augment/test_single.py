"""Single operations: ours where albumentations has none that computes the same."""

from typing import Any

import albumentations as A
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from augment import photometric, single
from augment.erase import GREY
from augment.geometric import rotate, warp
from augment.operations import Step, Steps, apply_step
from augment.transforms import check
from pipeline.base.keyed import generator

UInt8Array = npt.NDArray[np.uint8]


def picture() -> UInt8Array:
    return generator("single").integers(30, 220, (40, 50, 3), np.uint8)


@pytest.mark.parametrize(
    ("cls", "limit", "argument"),
    [
        (single.ShearX, 0.2, 0.2),
        (single.ShearY, -0.2, -0.2),
        (single.TranslateX, 0.1, 5),
        (single.TranslateY, 0.1, 4),
        (single.Brightness, 1.5, 1.5),
        (single.Contrast, 0.3, 0.3),
        (single.Color, 0.0, 0.0),
        (single.Sharpness, 1.9, 1.9),
    ],
)
def test_limits(cls: Any, limit: float, argument: float) -> None:
    transform: Steps = cls(limits=(limit, limit), p=1.0)
    expected = apply_step(picture(), Step(cls.__name__, argument), GREY)
    assert np.array_equal(transform(image=picture())["image"], expected)
    assert not np.array_equal(expected, picture())


def test_pillows_two() -> None:
    assert np.array_equal(single.PillowEqualize(p=1)(image=picture())["image"], photometric.equalize(picture()))
    assert np.array_equal(single.PillowAutoContrast(p=1)(image=picture())["image"], photometric.autocontrast(picture()))


def test_faults() -> None:
    assert "must not be above" in check([{"ShearX": {"limits": [0.3, -0.3]}}], "a")[0]
    assert "a[0].Color: unknown parameter 'limit'; did you mean 'limits'?" in check([{"Color": {"limit": [1, 2]}}], "a")
    assert check([{"Brightness": {"limits": [-1, 2]}}], "a")


def test_where_albumentations_has_the_same() -> None:
    def result(transform: A.BasicTransform) -> UInt8Array:
        return transform(image=picture())["image"]

    assert np.array_equal(result(A.InvertImg(p=1)), photometric.invert(picture()))
    assert np.array_equal(result(A.Posterize(num_bits=4, p=1)), photometric.posterize(picture(), 4))
    assert np.array_equal(
        result(A.Solarize(threshold_range=(0.4, 0.4), p=1)), photometric.solarize(picture(), 0.4 * 255)
    )
    turned = result(A.Rotate((30, 30), cv2.INTER_NEAREST, cv2.BORDER_CONSTANT, fill=GREY, p=1))
    assert (turned != warp(picture(), rotate(30, 40, 50), GREY)).mean() < 0.01


def test_where_it_has_not() -> None:
    """When this fails, albumentations computes as Pillow does and our two classes can go."""
    bright = np.maximum(picture(), 254 * (picture() > 150)).astype(np.uint8) | 1
    for theirs, ours in (
        (A.Equalize(mode="pil", p=1), photometric.equalize),
        (A.Equalize(mode="cv", p=1), photometric.equalize),
        (A.AutoContrast(method="pil", p=1), photometric.autocontrast),
        (A.AutoContrast(method="cdf", p=1), photometric.autocontrast),
    ):
        assert np.abs(theirs(image=bright)["image"].astype(int) - ours(bright)).max() > 1
