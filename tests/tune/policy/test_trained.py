from typing import Any

from pipeline.recipe import Recipe, parse
from pipeline.recipe.policies import AutoAugmentSearch
from tune.journal import Trial
from tune.policy.trained import as_search, policy_of, proposals
from tune.space import check_tune, problems_of

OPTIONS = AutoAugmentSearch(kind="autoaugment", candidates=30, duration=parse("1ep"), sub_policies=2, operations=1)


def recipe_of(make_recipe: Any) -> Recipe:
    values = {"metric": "val/top1", "mode": "max", "policy": OPTIONS.model_dump(mode="json")}
    recipe: Recipe = make_recipe("image", tune=values)
    return recipe


def scored(number: int, values: dict[str, Any]) -> Trial:
    """A trial of a problem whose answer is known: the more it inverts the better."""
    policy = policy_of(values)
    value = sum(probability for sub in policy for name, probability, _ in sub if name == "Invert") / len(policy)
    result = {"epoch": 1.0, "step": 3, "metrics": {"val/top1": value}}
    return Trial(number, values, "val/top1", "done", [result])


def test_candidates_follow_from_the_trials_so_far_and_get_better(make_recipe: Any) -> None:
    recipe = recipe_of(make_recipe)
    propose = proposals(recipe, "max", OPTIONS)
    trials: list[Trial] = []
    for number in range(60):
        values = propose(number, trials)
        assert values is not None
        trials.append(scored(number, values))
    assert propose(40, trials[:40]) == trials[40].values, "as it would be after a resume"
    early, late = ([trial.value or 0.0 for trial in part] for part in (trials[:10], trials[-10:]))
    assert sum(late) > sum(early)
    assert problems_of(recipe, trials[-1].values) == []


def test_it_is_a_search_of_the_core(make_recipe: Any) -> None:
    recipe = recipe_of(make_recipe)
    assert recipe.tune is not None
    tune = as_search(recipe, recipe.tune, OPTIONS)
    assert tune.samples == 30
    check_tune(recipe.model_copy(update={"tune": tune}))
    (point,) = tune.space["augment.train"].ends
    assert set(proposals(recipe, "max", OPTIONS)(0, []) or {}) == set(tune.space)
    assert len(policy_of({"augment.train": point})) == 2
