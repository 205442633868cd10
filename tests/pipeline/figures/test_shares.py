from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.figures.shares import bar_panels, class_lines

X = np.linspace(0, 1, 11)


def colours(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)


@pytest.mark.parametrize("count", [1, 10, 11])
def test_lines_have_colours_as_long_as_names_can_tell_them(count: int, tmp_path: Path) -> None:
    lines = {f"class $ {i}": X * i / count for i in range(count)}
    class_lines(X, lines, ("all", X / 2), ("recall", "precision"), tmp_path / "deep" / "lines.png", at=0.3)
    grey = np.ptp(colours(tmp_path / "deep" / "lines.png"), axis=1).max() == 0
    assert grey == (count > 10)


def test_bars_say_what_was_not_measured(tmp_path: Path) -> None:
    shares, counts = {"small": 0.25, "large": float("nan")}, {"small": 3.0, "large": 0.0}
    bar_panels([("AP", shares, "{:.2f}"), ("count", counts, "{:.0f}")], tmp_path / "bars.png")
    assert (31, 119, 180) in {tuple(colour) for colour in colours(tmp_path / "bars.png").tolist()}
