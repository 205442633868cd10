from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import Field

from pipeline.graph.plan import fingerprint, read_values
from pipeline.recipe import load, plain
from pipeline.recipe.section import Section, without_late
from pipeline.verbs.planning import GRAPH

RECIPES = Path(__file__).parents[3] / "recipes"
BEFORE = {
    "quickstart": "39a9de553f065badd7accd94aed0ab9b",
    "quickstart-images": "51d77852e543e4e64ec52e963a57b3f4",
}
"""Fingerprints of ingest, version 3, before there was a late key."""


class Inner(Section):
    late = frozenset({"new"})

    old: int = 1
    new: int = 2


class Outer(Section):
    one: Inner = Inner()
    by_name: dict[str, Inner] = Field(default={"a": Inner(), "b": Inner(new=3)})
    several: list[Inner] = Field(default=[Inner(), Inner(new=3)])


def test_late_keys_are_left_out_at_their_default() -> None:
    made = Outer(one=Inner(new=4))
    assert without_late(made, made.model_dump(mode="json")) == {
        "one": {"old": 1, "new": 4},
        "by_name": {"a": {"old": 1}, "b": {"old": 1, "new": 3}},
        "several": [{"old": 1}, {"old": 1, "new": 3}],
    }


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_that_say_nothing_of_late_keys_are_fingerprinted_as_before(path: Path) -> None:
    values = plain(load(path))
    for stage in GRAPH.order:
        read, before = read_values(stage, values), read_values(replace(stage, late=()), values)
        said = read.keys() - before.keys()
        assert said == ({"task.body"} if values["task"].get("body") == "lsp14" and stage.name == "ingest" else set())
        assert {key: read[key] for key in before} == before
    if path.stem in BEFORE:
        ingest = replace(GRAPH.stages["ingest"], version=3)
        assert fingerprint(ingest, read_values(ingest, values), {}, "") == BEFORE[path.stem]


@pytest.mark.parametrize("override", ["data.classes={keep: [cat, dog]}", "data.classes.rename={cat: dog}"])
def test_a_late_key_that_is_set_counts(override: str) -> None:
    ingest = GRAPH.stages["ingest"]
    plainly, changed = (plain(load(RECIPES / "quickstart.yaml", given)) for given in ([], [override]))
    assert "data.classes" not in read_values(ingest, plainly)
    assert read_values(ingest, changed)["data.classes"] != {}
    assert plain(load(RECIPES / "quickstart.yaml", ["data.classes.rename={}"]))["data"] == plainly["data"]
