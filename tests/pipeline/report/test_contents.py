"""What a page says of a run beside its evaluation."""

from pathlib import Path

import yaml

from pipeline.recipe import load, plain
from pipeline.report.contents import parent
from pipeline.report.gather import Told
from tests.conftest import tiny_values


def told_of(recipe: Path, *changes: str) -> Told:
    """A run of a recipe, as `python -m pipeline run RECIPE ...` leaves it."""
    record = {"argv": ["pipeline", "run", str(recipe), *changes]}
    return Told("mine", recipe.parent, {}, {}, plain(load(recipe, changes)), record)


def test_what_differs_from_the_recipe_that_is_extended(tmp_path: Path) -> None:
    """In its own folder; what was changed on the command line differs, too."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "older.yaml").write_text(yaml.safe_dump(tiny_values("image")))
    child = tmp_path / "mine.yaml"
    child.write_text("extends: base/older.yaml\nname: mine\noptimizer: {lr: 0.3}\nloss: {label_smoothing: 0.2}\n")
    lr = tiny_values("image")["optimizer"]["lr"]
    found = parent(told_of(child, "seed=7"))
    assert found["name"] == "base/older.yaml"
    assert dict(found["rows"]) == {
        "optimizer.lr": [str(lr), "0.3"],
        "loss.label_smoothing": ["0.0", "0.2"],
        "seed": [str(plain(load(tmp_path / "base" / "older.yaml"))["seed"]), "7"],
    }


def test_a_recipe_that_extends_none_or_is_gone_has_no_such_part(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(tiny_values("image")))
    told = told_of(path)
    assert parent(told) == {}
    path.write_text("extends: nowhere.yaml\n")
    assert parent(told) == {}
    path.unlink()
    assert parent(told) == {}
