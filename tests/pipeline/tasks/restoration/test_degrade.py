"""What is done to a picture: known answers, and draws that depend on nothing but their generator."""

from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.base.keyed import generator
from pipeline.decode.image import decode_image, encode_jpeg
from pipeline.recipe.restoring import Degrade
from pipeline.tasks.restoration.degrade import degraded, resized, whole


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    """Smooth, of all levels."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 5) + np.cos(y / 7), np.sin((x + y) / 9) * 2, np.cos(x / 4) * 2]
    return np.rint(127.5 + 60 * np.stack(waves, -1)).clip(0, 255).astype(np.uint8)


def made(scale: int = 1, seed: int = 0, **how: Any) -> np.ndarray:
    return degraded(picture(), Degrade(**how), scale, generator("test", seed))


@pytest.mark.parametrize("scale", [2, 4])
def test_bicubic_is_pillows(scale: int) -> None:
    size = (60 // scale, 40 // scale)
    assert np.array_equal(made(scale), np.asarray(Image.fromarray(picture()).resize(size, Image.Resampling.BICUBIC)))


def test_a_picture_that_the_scale_does_not_divide_loses_its_rest() -> None:
    assert whole(picture(41, 62), 3).shape == (39, 60, 3)
    assert np.array_equal(whole(picture(41, 62), 2), picture(41, 62)[:40])


def test_noise_has_the_deviation_that_was_asked_for() -> None:
    grey = np.full((100, 100, 3), 128, np.uint8)
    noise = degraded(grey, Degrade(noise=25), 1, generator("test")).astype(float) - 128
    assert noise.std() == pytest.approx(25, abs=0.5)
    assert noise.mean() == pytest.approx(0, abs=0.5)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.03


def test_a_range_is_drawn_from_for_each_sample_anew() -> None:
    grey = np.full((50, 50, 3), 128, np.uint8)
    drawn = [degraded(grey, Degrade(noise=[5, 50]), 1, generator("test", i)).astype(float).std() for i in range(40)]
    assert 4 < min(drawn) < 12
    assert 40 < max(drawn) < 52


def test_blur_and_jpeg_are_opencvs() -> None:
    assert np.array_equal(made(blur=1.5), cv2.GaussianBlur(picture(), (0, 0), 1.5))
    assert np.array_equal(made(jpeg=10), decode_image(encode_jpeg(picture(), 10)))
    assert np.abs(made(jpeg=10).astype(int) - picture()).mean() > np.abs(made(jpeg=90).astype(int) - picture()).mean()


def test_all_follow_each_other() -> None:
    blurred = resized(cv2.GaussianBlur(picture(), (0, 0), 2).astype(np.uint8), 20, 30)
    noise = generator("test", 0).normal(0, 9, blurred.shape)
    assert np.array_equal(made(2, blur=2, noise=9), np.rint(blurred + noise).clip(0, 255).astype(np.uint8))


def test_equal_keys_give_equal_pictures() -> None:
    how = {"noise": [0, 55], "jpeg": [30, 90], "blur": [0, 2]}
    assert np.array_equal(made(2, 1, **how), made(2, 1, **how))
    assert not np.array_equal(made(2, 1, **how), made(2, 2, **how))
