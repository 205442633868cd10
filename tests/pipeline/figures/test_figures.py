from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pipeline.figures.drawing import Drawing
from pipeline.figures.figures import (
    augmentation_sheet,
    class_bars,
    confusion_matrix,
    curves,
    learning_rate_curve,
    predictions,
    save,
)


def pixels(path: Path) -> np.ndarray:
    """The PNG as uint8 [H, W, 3]."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def share_of(image: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((np.abs(image.astype(int) - colour).max(axis=-1) <= 8).mean())


@pytest.mark.parametrize("shape", [(1,), (7,), (16,), (3, 8), (12, 20), (2, 1)])
@pytest.mark.parametrize("states", [1, 3])
def test_an_augmentation_sheet_shows_every_state_of_every_sample(
    shape: tuple[int, ...], states: int, tmp_path: Path
) -> None:
    samples = np.full((*shape, 40, 40, 3), 0, dtype=np.uint8)
    samples[:] = (200, 30, 60)
    augmentation_sheet([[(sample, "x y z " * 9)] * states for sample in samples], tmp_path / "deep" / "sheet.png")
    image = pixels(tmp_path / "deep" / "sheet.png")
    assert 0.4 < share_of(image, (200, 30, 60)) < 1
    assert image.shape[1] == 1800


def test_states_and_the_frames_of_a_clip_stand_in_order(tmp_path: Path) -> None:
    first, second = np.zeros((2, 2, 40, 40, 3), dtype=np.uint8)
    first[0], first[1] = (255, 0, 0), (0, 0, 255)
    second[:] = (0, 255, 0)
    augmentation_sheet([[(first, "stored"), (second, "augmented")]], tmp_path / "clip.png")
    image = pixels(tmp_path / "clip.png")
    upper, lower = image[len(image) // 4], image[3 * len(image) // 4]
    assert tuple(upper[len(upper) // 4]) == (255, 0, 0)
    assert tuple(upper[3 * len(upper) // 4]) == (0, 0, 255)
    assert tuple(lower[len(lower) // 4]) == (0, 255, 0)


def test_right_is_green_and_wrong_is_red(tmp_path: Path) -> None:
    samples = np.full((1, 20, 20, 3), 128, dtype=np.uint8)
    predictions([Drawing(samples[0], "0.90 cat", True)], tmp_path / "right.png")
    predictions([Drawing(samples[0], "0.90 dog\nis cat", False)], tmp_path / "wrong.png")
    green, red = (26, 127, 55), (207, 34, 46)
    assert share_of(pixels(tmp_path / "right.png"), green) > 0
    assert share_of(pixels(tmp_path / "right.png"), red) == 0
    assert share_of(pixels(tmp_path / "wrong.png"), red) > 0


def test_of_a_long_name_the_end_is_drawn(tmp_path: Path) -> None:
    def drawn(name: str) -> bytes:
        predictions([Drawing(np.zeros((9, 9, 3), np.uint8), "0.90 cat", True, name)], tmp_path / "named.png")
        return (tmp_path / "named.png").read_bytes()

    assert drawn(f"{'x' * 99}/a/cat/1.jpg") == drawn(f"{'y' * 99}/{'x' * 30}/a/cat/1.jpg")
    assert drawn(f"{'x' * 99}/a/cat/1.jpg") != drawn(f"{'x' * 99}/a/cat/2.jpg")
    assert drawn("") != drawn("1.jpg")


@pytest.mark.parametrize("num_classes", [2, 10, 30, 400])
def test_a_confusion_matrix_of_any_size_fits_a_screen(num_classes: int, tmp_path: Path) -> None:
    counts = np.eye(num_classes, dtype=np.int64) * 5
    counts[0] = 0  # a class without samples
    names = [f"a rather long class name {i}" for i in range(num_classes)]
    confusion_matrix(counts, counts.sum(1), names, tmp_path / "cm.png")
    image = pixels(tmp_path / "cm.png")
    assert image.shape[0] <= 1600
    assert share_of(image, (8, 48, 107)) > 0  # the darkest blue: a diagonal cell of share 1


def test_a_part_of_a_confusion_matrix_is_coloured_by_all_samples(tmp_path: Path) -> None:
    counts = np.full((16, 16), 5)
    confusion_matrix(counts, np.full(16, 80), [str(i) for i in range(16)], tmp_path / "whole.png")
    confusion_matrix(counts, np.full(16, 5), [str(i) for i in range(16)], tmp_path / "part.png")
    darkest = (8, 48, 107)
    assert share_of(pixels(tmp_path / "part.png"), darkest) > 0.3 > share_of(pixels(tmp_path / "whole.png"), darkest)


def test_a_dollar_begins_no_formula(tmp_path: Path) -> None:
    # "$x^$" is none that TeX could read; as one, "$a$" would be drawn as narrow as "a".
    names = ["$x^$", "a$b$c", r"\$5"]
    class_bars(np.linspace(0, 1, 3), np.arange(3), names, "$x^$", tmp_path / "bars.png")
    predictions([Drawing(np.zeros((9, 9, 3), np.uint8), name, None) for name in names], tmp_path / "predictions.png")
    widths = []
    for name in ("Xa", "$$a", "$a$"):
        figure = Figure(figsize=(2, 1))
        figure.text(0, 0.5, name)
        save(figure, tmp_path / "text.png")
        widths.append(np.flatnonzero((pixels(tmp_path / "text.png") < 200).any((0, 2))).max())
    assert widths[1] == pytest.approx(widths[2], abs=2)
    assert widths[2] > widths[0]


def test_bars_of_classes_that_are_cut_to_one_name_are_two(tmp_path: Path) -> None:
    names = ["a class name that is far too long, 1", "a class name that is far too long, 2"]
    for count in (1, 2):
        class_bars(np.full(count, 1.0), np.full(count, 7), names[:count], "AP", tmp_path / f"{count}.png")
    one, two = (share_of(pixels(tmp_path / f"{count}.png"), (31, 119, 180)) for count in (1, 2))
    assert two > one / 2  # twice the bars would be, but for their gap


def test_curves_have_a_panel_a_metric_and_bear_nan(tmp_path: Path) -> None:
    steps = list(range(100))
    loss = [float("nan"), float("inf"), *np.linspace(1, 0, 98)]
    curves({"train/loss": (steps, loss)}, tmp_path / "one.png")
    curves({"train/loss": (steps, loss), "val/loss": ([50], [0.5]), "val/top1": ([50], [0.9])}, tmp_path / "two.png")
    one, two = pixels(tmp_path / "one.png"), pixels(tmp_path / "two.png")
    assert two.shape[1] == 2 * one.shape[1]
    assert share_of(one, (31, 119, 180)) > 0


def test_the_learning_rate_curve_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        learning_rate_curve([0, 10, 100], [0.0, 0.1, 0.0], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
