"""Each operation against its formula, written out per channel in float64, and against Pillow."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from augment import photometric
from pipeline.base.keyed import generator

UInt8Array = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float64]

FACTORS = [0.0, 0.01, 0.1, 0.46, 0.9, 1.0, 1.1, 1.5, 1.9, 1.99]
PICTURES = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


def noise(seed: int = 0, low: int = 0, high: int = 256) -> UInt8Array:
    return generator("noise", seed).integers(low, high, (37, 41, 3), np.uint8)


def grey(x: Float) -> Float:
    return x @ np.array([0.299, 0.587, 0.114])


def blend(other: Float, x: Float, factor: float) -> Float:
    return np.clip(other + factor * (x - other), 0, 255)


def smooth(x: Float) -> Float:
    result = x.copy()
    for i in range(1, x.shape[0] - 1):
        for j in range(1, x.shape[1] - 1):
            result[i, j] = (x[i - 1 : i + 2, j - 1 : j + 2].sum((0, 1)) + 4 * x[i, j]) / 13
    return result


def reference_autocontrast(x: Float) -> Float:
    result = x.copy()
    for c in range(3):
        low, high = x[..., c].min(), x[..., c].max()
        if high > low:
            result[..., c] = (x[..., c] - low) * 255 / (high - low)
    return result


def reference_equalize(x: Float) -> Float:
    result = x.copy()
    for c in range(3):
        values = x[..., c].ravel()
        step = int((values < values.max()).sum()) // 255
        if step:
            darker = [(step // 2 + int((values < value).sum())) // step for value in values]
            result[..., c] = np.minimum(np.reshape(darker, x.shape[:2]), 255)
    return result


ENHANCED: dict[str, tuple[Callable[[UInt8Array, float], UInt8Array], Callable[[Float, float], Float], type]] = {
    "brightness": (photometric.brightness, lambda x, f: blend(np.zeros_like(x), x, f), ImageEnhance.Brightness),
    "contrast": (
        photometric.contrast,
        lambda x, f: blend(np.full_like(x, grey(x).mean()), x, f),
        ImageEnhance.Contrast,
    ),
    "color": (photometric.color, lambda x, f: blend(grey(x)[..., None].repeat(3, -1), x, f), ImageEnhance.Color),
    "sharpness": (photometric.sharpness, lambda x, f: blend(smooth(x), x, f), ImageEnhance.Sharpness),
}


def assert_near(result: UInt8Array, expected: Float | UInt8Array) -> None:
    assert result.dtype == np.uint8
    assert np.abs(result.astype(float) - expected).max(initial=0) <= 1


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("name", ENHANCED)
def test_blends(name: str, factor: float) -> None:
    operation, formula, enhancer = ENHANCED[name]
    for picture in (noise(), noise(1, 90, 120), noise(2, 200)):
        assert_near(operation(picture, factor), formula(picture.astype(float), factor))
        assert_near(operation(picture, factor), np.asarray(enhancer(Image.fromarray(picture)).enhance(factor)))


@settings(deadline=None, max_examples=60)
@given(PICTURES, st.floats(0, 2), st.sampled_from(sorted(ENHANCED)))
def test_blends_of_any_picture(picture: UInt8Array, factor: float, name: str) -> None:
    operation, formula, enhancer = ENHANCED[name]
    assert_near(operation(picture, factor), formula(picture.astype(float), factor))
    if min(picture.shape[:2]) > 2 or name != "sharpness":  # Pillow leaves such small ones undefined
        assert_near(operation(picture, factor), np.asarray(enhancer(Image.fromarray(picture)).enhance(factor)))


@pytest.mark.parametrize("name", ENHANCED)
def test_a_factor_of_one_changes_nothing(name: str) -> None:
    assert np.array_equal(ENHANCED[name][0](noise(), 1.0), noise())


@settings(deadline=None, max_examples=60)
@given(PICTURES)
def test_autocontrast_and_equalize_of_any_picture(picture: UInt8Array) -> None:
    assert_near(photometric.autocontrast(picture), reference_autocontrast(picture.astype(float)))
    assert_near(photometric.equalize(picture), reference_equalize(picture.astype(float)))


@pytest.mark.parametrize("picture", [noise(), noise(1, 90, 120), noise(2, 7, 8), noise(3, 254)])
def test_autocontrast_and_equalize(picture: UInt8Array) -> None:
    image = Image.fromarray(picture)
    assert_near(photometric.autocontrast(picture), reference_autocontrast(picture.astype(float)))
    assert_near(photometric.autocontrast(picture), np.asarray(ImageOps.autocontrast(image)))
    assert np.array_equal(photometric.equalize(picture), reference_equalize(picture.astype(float)))
    assert np.array_equal(photometric.equalize(picture), np.asarray(ImageOps.equalize(image)))


@pytest.mark.parametrize("threshold", [0, 0.5, 28.33, 128, 254.9, 255, 256])
def test_solarize(threshold: float) -> None:
    picture = noise()
    expected = np.where(picture >= threshold, 255 - picture, picture)
    assert np.array_equal(photometric.solarize(picture, threshold), expected)
    assert np.array_equal(expected, np.asarray(ImageOps.solarize(Image.fromarray(picture), math.ceil(threshold))))


@pytest.mark.parametrize("bits", range(9))
def test_posterize(bits: int) -> None:
    picture = noise()
    expected = picture // 2 ** (8 - bits) * 2 ** (8 - bits) if bits else np.zeros_like(picture)
    assert np.array_equal(photometric.posterize(picture, bits), expected)
    if bits:  # Pillow shows the whole byte for 0 bits
        assert np.array_equal(expected, np.asarray(ImageOps.posterize(Image.fromarray(picture), bits)))


def test_invert() -> None:
    assert np.array_equal(photometric.invert(noise()), 255 - noise())


def test_sharpness_smooths_as_pillow_does() -> None:
    assert_near(photometric.sharpness(noise(), 0), np.asarray(Image.fromarray(noise()).filter(ImageFilter.SMOOTH)))
