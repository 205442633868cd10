from typing import Any

import numpy as np

from pipeline.recipe.policies import RandAugmentSearch
from pipeline.recipe.tuning import Tune
from tune.journal import Trial
from tune.policy.grid import as_grid, scores
from tune.proposals import grid_values
from tune.space import check_tune

CROP: dict[str, Any] = {"CenterCrop": {"height": 16, "width": 16}}
OPTIONS = RandAugmentSearch(kind="randaugment", operations=[1, 3], magnitude=[5, 9.5])


def rand(operations: int, magnitude: float) -> dict[str, Any]:
    return {"RandAugment": {"operations": operations, "magnitude": magnitude, "fill": [0, 0, 0]}}


def test_a_grid_is_a_search_of_the_core(make_recipe: Any) -> None:
    own = {"TrivialAugment": {"fill": [0, 0, 0]}}
    values = {"metric": "val/loss", "mode": "min", "policy": OPTIONS.model_dump()}
    recipe = make_recipe("image", **{"augment.train": [CROP, own], "tune": values})
    tune = as_grid(recipe, recipe.tune, OPTIONS)
    assert tune == Tune.model_validate(tune.model_dump(mode="json")), "it can be stored"
    assert (tune.metric, tune.mode, tune.samples, tune.policy) == ("val/loss", "min", 4, None)
    assert grid_values(check_tune(recipe.model_copy(update={"tune": tune})).space) == [
        {"augment.train": [CROP, rand(*point)]} for point in [(1, 5.0), (1, 9.5), (3, 5.0), (3, 9.5)]
    ]


def test_scores() -> None:
    trials = [Trial(i, {"augment.train": [CROP, rand(1, i)]}, "val/top1") for i in range(2)]
    trials[1].results.append({"epoch": 1.0, "step": 1, "metrics": {"val/top1": 0.5}})
    found = scores(trials)
    assert found[1, 1] == 0.5
    assert np.isnan(found[1, 0])
