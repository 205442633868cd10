"""docs/tricks.md says nothing that is not so: its recipe lines are checked, its functions exist, its policy loads."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from augment.policy import load_policy
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


def test_the_policy_loads() -> None:
    assert len(load_policy(yaml.safe_load(POLICY))) == 2
