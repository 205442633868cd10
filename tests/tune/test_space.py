from collections.abc import Callable
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.recipe import RecipeError, plain
from pipeline.recipe.mixing import mixes
from tune.proposals import random_values
from tune.space import changed, check_tune, is_below, trial_recipe, upstream, upstream_points

TUNE: dict[str, Any] = {"metric": "val/top1", "mode": "max", "space": {"optimizer.lr": "loguniform(0.01, 1)"}}


def refused(make_recipe: Callable[..., Any], **changes: Any) -> list[str]:
    """The problems of a recipe with a changed section `tune`, a line each."""
    space = changes.pop("space", TUNE["space"])
    with pytest.raises(RecipeError) as error:
        check_tune(make_recipe("image", tune={**TUNE, **changes, "space": space}))
    return [line.strip() for line in str(error.value).splitlines()[1:]]


def test_a_point_changes_its_keys_alone(make_recipe: Any) -> None:
    recipe = make_recipe("image", tune=TUNE)
    made = plain(changed(recipe, {"optimizer.lr": 0.3}))
    before = plain(recipe)
    assert made["optimizer"].pop("lr") == 0.3
    assert before["optimizer"].pop("lr") == 0.05
    assert made.pop("tune") is None
    assert before.pop("tune") is not None
    assert made == before


def test_a_new_kind_drops_the_options_of_the_old_one(make_recipe: Any) -> None:
    recipe = make_recipe("image", optimizer={"kind": "sgd", "lr": 0.1, "momentum": 0.5})
    made = changed(recipe, {"optimizer.lr": 0.001, "optimizer.kind": "adamw"})
    assert made.optimizer.kind == "adamw"
    assert made.optimizer.lr == 0.001


def test_a_trial_is_saved_wherever_it_is_measured(make_recipe: Any) -> None:
    trial = {"workers": 2, "gpus": 0.5, "retries": 5}
    recipe = make_recipe("image", tune={**TUNE, "trial": trial}, **{"train.evaluate": "2st"})
    made = trial_recipe(recipe, recipe.tune, {"optimizer.lr": 1.0})
    assert str(made.train.checkpoint) == "2st"
    cluster = made.cluster
    assert (cluster.workers.min, cluster.gpus_per_worker, cluster.max_failures) == (2, 0.5, 5)
    assert str(trial_recipe(recipe, recipe.tune, {"train.evaluate": "5st"}).train.checkpoint) == "5st"


def test_a_recipe_without_the_section(make_recipe: Any) -> None:
    with pytest.raises(ZoetropeError, match="has no section `tune`"):
        check_tune(make_recipe("image"))


@pytest.mark.parametrize(
    ("space", "problem"),
    [
        ({"optimzer.lr": "uniform(0.1, 1)"}, "optimzer: unknown key 'optimzer'; write optimizer.lr=0.1"),
        ({"optimizer.lrr": "uniform(0.1, 1)"}, "optimizer.lrr: unknown key 'lrr'; did you mean 'lr'?"),
        ({"mixing.alpha": "choice(0.1, 0.2)"}, "mixing.alpha: unknown key 'alpha'"),
        ({"optimizer.kind": "choice(sgd, adamm)"}, 'tune.space: optimizer.kind = "adamm": optimizer.kind: unknown'),
        ({"loss.label_smoothing": "uniform(0.0, 1.5)"}, "tune.space: loss.label_smoothing = 1.5: "),
        ({"cluster.workers": "choice(1, 2)"}, "cluster.workers changes no result"),
        ({"augment.train": "choice([{RandomCorp: {}}])"}, "RandomCrop"),
    ],
)
def test_wrong_keys_and_values_are_said_before_anything_starts(make_recipe: Any, space: Any, problem: str) -> None:
    lines = refused(make_recipe, space=space)
    assert any(problem in line for line in lines), lines


def test_mixing_with_alpha_0_among_the_choices(make_recipe: Any) -> None:
    """Every point of the space can be planned, and that of alpha 0 mixes nothing."""
    space = {
        "optimizer.lr": "loguniform(0.01, 1.0)",
        "loss.label_smoothing": "uniform(0.0, 0.2)",
        "mixing.alpha": "choice(0.0, 0.1, 0.2, 0.4)",
    }
    recipe = make_recipe("image", mixing={"kind": "mixup"}, tune={**TUNE, "space": space})
    tune = check_tune(recipe)
    drawn = [random_values(tune.space, 0, number) for number in range(24)]
    mixed = {values["mixing.alpha"]: mixes(trial_recipe(recipe, tune, values).mixing) for values in drawn}
    assert mixed == {0.0: False, 0.1: True, 0.2: True, 0.4: True}


def test_a_problem_is_said_once(make_recipe: Any) -> None:
    assert len(refused(make_recipe, space={"optimizer.lrr": "choice(1, 2, 3)"})) == 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"metric": "val/top2"}, "tune.metric: unknown metric 'val/top2'; did you mean 'val/top"),
        ({"search": {"kind": "grid"}}, "a grid cannot go through loguniform(0.01, 1)"),
        ({"search": {"kind": "grid"}, "samples": 3, "space": {"seed": "randint(0, 4)"}}, "the grid has 5 points"),
        ({"scheduler": {"kind": "pbt"}, "space": {"model.width": "choice(4, 8)"}}, "cannot change in mid-training"),
        ({"scheduler": {"kind": "pbt"}, "samples": 1}, "tune.samples: pbt compares trials"),
        ({"scheduler": {"kind": "pbt"}, "search": {"kind": "optuna"}}, "pbt searches itself"),
        ({"scheduler": {"kind": "asha", "grace": "99ep"}}, "tune.scheduler.grace: 99ep is longer than any trial"),
        ({"scheduler": {"kind": "pbt", "interval": "99ep"}}, "tune.scheduler.interval: 99ep is longer than any trial"),
        ({"search": {"kind": "optuna"}, "space": {"data.split.val": "uniform(0.1, 0.2)"}}, "makes other shards"),
    ],
)
def test_what_does_not_go_together(make_recipe: Any, changes: Any, problem: str) -> None:
    lines = refused(make_recipe, **changes)
    assert any(problem in line for line in lines), lines


def test_shards_are_made_for_what_touches_them(make_recipe: Any) -> None:
    space = {"shard.samples": "choice(8, 16)", "optimizer.lr": "uniform(0.1, 1)", "seed": "choice(0, 1)"}
    tune = check_tune(make_recipe("image", tune={**TUNE, "space": space}))
    names = {upstream(point) for point in upstream_points(tune.space)}
    assert len(names) == 4
    assert upstream({"shard.samples": 8, "optimizer.lr": 0.5, "seed": 1}) in names
    assert list(upstream_points({"optimizer.lr": tune.space["optimizer.lr"]})) == [{}]
    assert upstream({"optimizer.lr": 0.5}) == upstream({})


def test_below() -> None:
    assert is_below("data.source.path", ["data"])
    assert is_below("data", ["data.source"])
    assert not is_below("database", ["data"])
