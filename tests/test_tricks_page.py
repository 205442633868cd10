"""docs/tricks.md says nothing that is not so: its recipe lines are checked, its functions exist, its policy loads."""

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from augment.policy import load_policy
from augment.rides import Companions, Rides
from augment.transforms import compose
from pipeline.recipe import check, plain
from pipeline.recipe.validate import transform_problems
from tests.conftest import tiny_values

PAGE = (Path(__file__).parents[1] / "docs" / "tricks.md").read_text()
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and "`" in line]
POLICY, SCHEDULE = re.findall("```yaml\n(.*?)```", PAGE, re.DOTALL)
LINES = [line for row in ROWS for line in re.findall("`([^`]+)`", row[1])]


def merged(values: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    return values | {key: values.get(key, {}) | value if key != "mixing" else value for key, value in over.items()}


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_right(line: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(POLICY)
    (tmp_path / "schedule.yaml").write_text(SCHEDULE)
    values = merged(tiny_values("image"), yaml.safe_load(line))
    recipe = check(values, "the page", tmp_path)
    assert transform_problems(plain(recipe)) == []
    assert recipe != check(tiny_values("image"), "without it", tmp_path)


@pytest.mark.parametrize("name", [name for row in ROWS for name in re.findall("`([^`]+)`", row[2])])
def test_a_function_exists(name: str) -> None:
    module, _, function = name.rpartition(".")
    assert callable(getattr(importlib.import_module(module), function))


def test_boxes_follow_large_scale_jitter() -> None:
    """White around a box is found where the box is said to be, in pictures of 0.1 to 2 times the size."""
    (line,) = [re.findall("`([^`]+)`", row[1])[0] for row in ROWS if row[0] == "large-scale jitter"]
    augment = compose(yaml.safe_load(line)["augment"]["train"], Rides(frozenset({"boxes"})))
    pixels = np.full((90, 120, 3), 60, np.uint8)
    pixels[30:60, 20:80] = 255
    scales = []
    for draw in range(60):
        view = augment.view(pixels, Companions(boxes=np.array([[20, 30, 80, 60]])), "jitter", draw)
        assert view.pixels.shape == (96, 96, 3)
        assert view.boxes is not None
        assert view.frame is not None
        rows, columns = np.nonzero(view.pixels[..., 0] > 158)
        if len(view.boxes):
            shown = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert view.boxes[0] == pytest.approx(shown, abs=1.01)
        else:  # cut off
            assert not len(rows)
        scales.append(view.frame[0, 0] * 120 / 96)
    assert 0.09 < min(scales) < 0.2
    assert 1.8 < max(scales) < 2.01


def test_the_policy_loads() -> None:
    assert len(load_policy(yaml.safe_load(POLICY))) == 2
