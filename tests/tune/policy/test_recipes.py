from pathlib import Path
from typing import Any

from augment.policy import Policy, Schedule, load_policy, load_schedule
from pipeline.recipe import load
from tests.conftest import tiny_values
from tune.policy.recipes import auto_augment, with_transform, write_policy, write_schedule

POLICY: Policy = [[("Rotate", 0.7, 3.0), ("Invert", 0.2, None)]]
CROP: dict[str, Any] = {"RandomCrop": {"height": 16, "width": 16}}


def test_a_policy_takes_the_place_of_the_recipe_s_own(make_recipe: Any) -> None:
    own = {"RandAugment": {"operations": 3, "fill": [0, 0, 0]}}
    recipe = make_recipe("image", **{"augment.train": [own, CROP]})
    put = auto_augment(recipe, POLICY)
    assert put == {"AutoAugment": {"policy": [[["Rotate", 0.7, 3.0], ["Invert", 0.2, None]]], "fill": [0, 0, 0]}}
    assert with_transform(recipe, put).augment.train == [put, CROP]
    assert with_transform(recipe, None).augment.train == [CROP]


def test_without_one_it_goes_to_the_end(make_recipe: Any) -> None:
    recipe = make_recipe("image", **{"augment.train": [CROP]})
    put = auto_augment(recipe, POLICY)
    assert with_transform(recipe, put).augment.train == [CROP, put]
    assert with_transform(recipe, None) == recipe


def test_a_policy_file_is_one_that_a_recipe_takes(tmp_path: Path) -> None:
    import yaml

    write_policy(POLICY, tmp_path / "policy.yaml", {"found by": "a test,\nof two lines"})
    text = (tmp_path / "policy.yaml").read_text()
    assert text == '# found by: a test, of two lines\n- [["Rotate", 0.7, 3.0], ["Invert", 0.2, null]]\n'
    assert load_policy(tmp_path / "policy.yaml") == POLICY
    values = tiny_values("image", **{"augment.train": [CROP, {"AutoAugment": {"policy": "policy.yaml"}}]})
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(values))
    (found,) = load(tmp_path / "recipe.yaml").augment.train[1].values()
    assert load_policy(found["policy"]) == POLICY


def test_a_schedule_file(tmp_path: Path) -> None:
    schedule: Schedule = [(0.0, [("Rotate", 0.1, 3), ("Invert", 0.0, None)]), (2.5, [("Cutout", 1.0, 9)])]
    write_schedule(schedule, tmp_path / "schedule.yaml", {"found by": "a test"})
    text = (tmp_path / "schedule.yaml").read_text()
    assert text.splitlines()[2] == '- [2.5, [["Cutout", 1.0, 9]]]'
    assert load_schedule(tmp_path / "schedule.yaml") == schedule
