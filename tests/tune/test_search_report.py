from pathlib import Path
from typing import Any

import pytest

from tune.search_report import command


@pytest.mark.parametrize(
    ("workers", "on_trial", "named"),
    [(1, 1, ""), (2, 2, ""), (2, 1, " cluster.workers=1"), ({"min": 1, "max": 2}, 1, " cluster.workers=1")],
)
def test_the_command_trains_on_as_many_workers_as_the_trial(
    make_recipe: Any, workers: Any, on_trial: int, named: str
) -> None:
    space = {"optimizer.lr": "uniform(0.1, 1)"}
    tune = {"metric": "val/top1", "mode": "max", "space": space, "trial": {"workers": on_trial}}
    recipe = make_recipe("image", tune=tune, **{"cluster.workers": workers})
    assert command(Path("a b"), recipe, recipe.tune) == f"python -m pipeline run 'a b/best.yaml'{named}"
