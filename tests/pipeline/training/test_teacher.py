"""A teacher's content counts; `test_find_model.py` says which model its name means."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.stages.train import outside
from pipeline.training.teacher import digest
from pipeline.verbs.planning import make_plan
from tests.pipeline.stores import quickstart
from tests.pipeline.training.test_find_model import model_in


def test_its_content_counts_for_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_in(tmp_path / "teacher")
    values: dict[str, Any] = {
        "model": {"weights": None},
        "loss": {"distill": {"teacher": str(folder)}},
        "store": "/no/store",
    }
    before = outside(values)
    assert before == digest(folder)
    (folder / "classes.json").write_text("other")
    assert outside(values) != before


def test_a_missing_teacher_is_told_by_the_plan(tmp_path: Path, make_recipe: Callable[..., Any]) -> None:
    recipe = quickstart(tmp_path, f"loss.distill.teacher={tmp_path}/absent")
    with pytest.raises(ZoetropeError, match="absent holds no exported model"):
        make_plan(recipe)
