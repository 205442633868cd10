"""Every guess of the tables is answered, and what is answered is a right recipe."""

import re
from typing import Any, get_args

import pytest

from pipeline.base.errors import nearest
from pipeline.recipe import Recipe, load
from pipeline.recipe.guesses import KEYS, KINDS, WORDS, answer, every_key, kind
from pipeline.recipe.section import sections
from tests.pipeline.stores import RECIPES

GIVEN = {
    "train.ema={}": 0.999,
    "train.evaluate={}ep": 2,
    "optimizer.kind={}": "adamw",
    "schedule.kind={}": "cosine",
    "loss.label_smoothing={}": 0.1,
    "data.split.val={}": 0.3,
    "data.split.test={}": 0.1,
    "data.split.group={}": "(.*)/",
    "model.kind={}": "tsm_resnet18",
    "model.weights={}": "hf://a/b/c.safetensors",
    "data.source.path={}": "clips",
    "data.source={{kind: folder, path: {}}}": "clips",
    "data.classes.keep=[{}]": "left",
    "store={}": "runs",
    "tracking.uri={}": "http://127.0.0.1:5000",
    "tracking.experiment={}": "study",
    "name={}": "study",
}
"""A value for each key that does not take 3."""
GUESSES = [(guess, right) for right, names in KEYS.items() for guess in names.split()]
SAID = [(guess, words) for words, names in WORDS.items() for guess in names.split()]


def test_a_guess_has_one_answer_and_is_no_key_at_the_top() -> None:
    names = [guess for guess, _ in [*GUESSES, *SAID]]
    assert len(names) == len(set(names))
    assert not {name for name in names if name in every_key()}


@pytest.mark.parametrize("right", KEYS)
def test_what_is_answered_is_right(right: str) -> None:
    given = ["data.source={kind: folder, path: clips}"] if right.startswith("data.source") else []
    load(RECIPES / "quickstart.yaml", [*given, right.format(GIVEN.get(right, 3))])


@pytest.mark.parametrize(("guess", "right"), GUESSES)
def test_a_guess_is_answered_with_its_value(guess: str, right: str) -> None:
    value = GIVEN.get(right, 3)
    written = f"write {right.format(value)}"
    assert answer(guess, value) == written
    assert answer(guess.replace("_", "-").upper(), value) == written
    assert answer(f"solver.{guess}", value) == written


@pytest.mark.parametrize(("guess", "words"), SAID)
def test_what_is_no_single_key_is_explained(guess: str, words: str) -> None:
    said = answer(guess, 3)
    assert said is not None
    assert "{0}" not in said
    for key in re.findall(r"\b([a-z]+(?:\.[a-z_]+)+)(?:=|\b)", said):
        assert key in every_key() or key in ("cluster.md", "weights.md", "data.classes", "cluster.workers"), key


@pytest.mark.parametrize("right", KINDS)
def test_a_kind_of_other_names_is_there_and_they_do_not_look_like_it(right: str) -> None:
    key, known = right.partition(",")[0].split(".kind=")
    model: Any = Recipe
    for name in key.split("."):
        choices = sections(model.model_fields[name].annotation)
        model = choices[0]
    kinds = [kind for one in choices for kind in get_args(one.model_fields["kind"].annotation)]
    assert known in kinds
    for guess in KINDS[right].split():
        assert known not in nearest(guess, kinds)
        assert (kind(key, guess.upper()) or "").startswith(f"write kind: {known}")


def test_other_names_of_kinds_are_a_section_s_own() -> None:
    assert kind("data.source.of.mine", "pascal-voc") == "write kind: voc"
    assert kind("mixing", "pascal-voc") is None
    assert kind("mixing", "mixupp") is None


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("train.epochs", "many", "write train.duration=10ep"),
        ("train.epochs", None, "write train.duration=10ep"),
        ("amp", True, "write train.precision=bf16"),
        ("trainer", {"max_epochs": 3, "devices": 2, "foo": 1}, "write train.duration=3ep; a GPU is used where"),
        ("solver", {"foo": 1}, None),
        ("weight_decay", 0.1, "write optimizer.weight_decay=0.1"),
        ("momentum", None, "write optimizer.momentum=..."),
        ("train.optimizer.momentum", 0.9, "write optimizer.momentum=0.9"),
        ("short_side", 64, "write shard.video.short_side=64 or shard.image.short_side=64"),
        ("kind", "tsm", None),
        ("foo", 3, None),
    ],
)
def test_other_keys(path: str, value: Any, said: str | None) -> None:
    found = answer(path, value)
    assert found == said or (found or "").startswith(said or "nothing")
