"""docs/python.md is true: its blocks run, one after the other."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.forks import ROOT
from tests.processes import PYTHONPATH

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)


@pytest.mark.slow
def test_the_page(tmp_path: Path) -> None:
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    checks = """
assert planned.to_run == ("ingest", "shard", "train", "evaluate", "export")
assert planned.steps[0] == pipeline.api.Step("ingest", "run", ("first run",))
assert 0 <= ran.metrics["top1"] <= 1
assert model.classes == list("0123456789")
assert (len(one.answer["top_labels"]), one.answer["top_labels"][0]) == (3, one.answer["label"])
assert one.words == f"{one.answer['score']:.2f} {one.answer['label']}"
assert (several[0].error, several[1].answer) == (None, {})
assert several[1].error.startswith("its content is no image that can be read: JPEG, PNG, ")
assert prediction.file == "zero.png"
"""
    (tmp_path / "page.py").write_text("\n".join(BLOCKS) + checks)
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "HOME": str(tmp_path), "PYTHONPATH": PYTHONPATH}
    for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)
    ran = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    shown = [line for line in ran.stdout.splitlines() if line.startswith("zero.png")]
    assert len(shown) == 2  # by its name and by the pattern
