"""docs/first-data-set.md as a reader types it: its script draws the pictures, and `init` says what stands there."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app

PAGE = (Path(__file__).parents[1] / "docs" / "first-data-set.md").read_text()


def test_the_pictures_and_what_init_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (script,) = re.findall(r"```python digits.py\n(.*?)```", PAGE, re.DOTALL)
    exec(script, {})
    answered = CliRunner().invoke(app, ["init", "digits"])
    assert answered.exit_code == 0, answered.output
    said = {line.split()[0]: " ".join(line.split()) for line in answered.output.splitlines() if line}
    (printed,) = re.findall(r"\$ python -m pipeline init digits\n(.*?)```", PAGE, re.DOTALL)
    lines = [" ".join(line.split()) for line in printed.splitlines() if line]
    assert len(lines) == 8
    assert [line for line in lines if not said[line.split()[0]].startswith(line.removesuffix(", ..."))] == [
        "python -m pipeline preview recipe.yaml"  # of two lines with one beginning the last is `run`
    ]
    assert "preview recipe.yaml" in answered.output
    asked = CliRunner().invoke(app, ["plan", "recipe.yaml", "train.duration=6ep"])
    assert "training: 6ep in batches of 128" in asked.output
