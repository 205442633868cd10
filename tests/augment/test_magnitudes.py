"""The published tables, written out."""

import pytest

from augment.magnitudes import CHOICES, MAGNITUDES, argument


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ShearX", [0, 0.0333, 0.0667, 0.1, 0.1333, 0.1667, 0.2, 0.2333, 0.2667, 0.3]),
        ("TranslateX", [0, 11, 22, 33, 45, 56, 67, 78, 90, 101]),
        ("Rotate", [0, 3.3333, 6.6667, 10, 13.3333, 16.6667, 20, 23.3333, 26.6667, 30]),
        ("Brightness", [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9]),
        ("Posterize", [8, 8, 7, 7, 6, 6, 5, 5, 4, 4]),
        ("Solarize", [255, 226.667, 198.333, 170, 141.667, 113.333, 85, 56.667, 28.333, 0]),
        ("Cutout", [0, 4, 9, 14, 19, 24, 29, 34, 39, 44]),
        ("Invert", [0] * 10),
    ],
)
def test_ten_magnitudes_at_224_px(name: str, expected: list[float]) -> None:
    assert [argument(name, k / 9, 1, 224, 224) for k in range(10)] == pytest.approx(expected, abs=1e-3)


def test_translations_follow_the_side() -> None:
    assert [argument("TranslateX", k / 9, 1, 999, 331) for k in (1, 9)] == [16, 150]
    assert [argument("TranslateY", k / 9, -1, 331, 999) for k in (1, 9)] == [-16, -150]
    assert argument("TranslateX", 1, 1, 32, 32) == 14


def test_randaugment_magnitude_9_of_30() -> None:
    names = ["ShearX", "TranslateX", "Rotate", "Color", "Posterize", "Solarize"]
    assert [argument(name, 9 / 30, 1, 224, 224) for name in names] == pytest.approx([0.09, 30, 9, 1.27, 7, 178.5])
    assert argument("Color", 9 / 30, -1, 224, 224) == pytest.approx(0.73)


def test_the_wide_space() -> None:
    names = ["ShearX", "TranslateX", "Rotate", "Color", "Posterize", "Solarize"]
    assert [argument(name, 1, 1, 64, 64, wide=True) for name in names] == pytest.approx([0.99, 32, 135, 1.99, 2, 0])
    bits = [argument("Posterize", k / 30, 1, 64, 64, wide=True) for k in range(0, 31, 5)]
    assert bits == [8, 7, 6, 5, 4, 3, 2]


def test_signs() -> None:
    mirrored = {name for name in MAGNITUDES if argument(name, 0.5, 1, 64, 64) != argument(name, 0.5, -1, 64, 64)}
    shifts = {"ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"}
    assert mirrored == shifts | {"Brightness", "Color", "Contrast", "Sharpness"}


def test_fifteen_operations_and_fourteen_choices() -> None:
    assert len(MAGNITUDES) == 15
    assert len(CHOICES) == 14
    assert set(MAGNITUDES) - set(CHOICES) == {"Invert", "Cutout"}
