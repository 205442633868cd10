"""Every recipe fits the schema that editors check by; what is misspelt does not."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.base.plain_yaml import parse_yaml
from pipeline.recipe.json_schema import KEPT, json_schema, text
from tests.pipeline.stores import RECIPES

FILES = sorted(RECIPES.rglob("*.yaml"))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json_schema()


@pytest.fixture(scope="module")
def validator(schema: dict[str, Any]) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_kept_copy_is_made_from_the_code() -> None:
    assert KEPT.read_text() == text(), f"python -m pipeline.recipe.json_schema > {KEPT}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(RECIPES).as_posix())
def test_every_recipe_fits(path: Path, validator: Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(parse_yaml(path.read_text()))] == []


WRONG = {
    "optimiser: {kind: sgd}": "a key",
    "optimizer: {kind: sdg}": "a kind",
    "optimizer: {kind: sgd, lrr: 0.1}": "a key of a kind",
    "train: {duration: 10}": "a duration",
    "train: {batch_size: many}": "a number",
    "augment: {train: [HorizontalFlop]}": "a transform",
    "augment: {train: [{HorizontalFlop: {p: 1}}]}": "a transform with parameters",
    "cluster: {workers: 0}": "no workers",
    "tune: {space: {lr: 'uniform(0, 1)'}}": "no dotted key",
}
RIGHT = (
    "optimizer: {lr: 5e-4}",
    "augment: {train: [HorizontalFlip, {RandomCrop: {height: 8, width: 8}}, {HorizontalFlip: }]}",
    "cluster: {workers: {min: 1, max: 4}}",
    "schedule: {kind: cosine, warmup: 5%}",
    "model: {kind: 'my_package:MyNet', width: 3}",
    "feed: {workers: 4}",
)


@pytest.mark.parametrize("line", WRONG, ids=WRONG.values())
def test_what_is_wrong_does_not(line: str, validator: Draft202012Validator) -> None:
    assert not validator.is_valid(parse_yaml(f"extends: other.yaml\n{line}"))


@pytest.mark.parametrize("line", RIGHT)
def test_what_is_written_does(line: str, validator: Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(parse_yaml(f"extends: other.yaml\n{line}"))] == []


def test_a_recipe_that_extends_none_is_whole(validator: Draft202012Validator) -> None:
    missing = {error.message for error in validator.iter_errors({"name": "x"})}
    assert "'optimizer' is a required property" in missing


def test_every_key_says_what_it_means(schema: dict[str, Any]) -> None:
    sections = {"Recipe": schema, **schema["$defs"]}
    silent = {
        f"{name}.{key}"
        for name, section in sections.items()
        for key, value in section.get("properties", {}).items()
        if name != "Transform" and not value.get("description")
    }
    assert silent == set()


def test_the_verb_prints_it_and_loads_no_transforms() -> None:
    code = (
        "import sys; from pipeline.cli import main; sys.argv = ['pipeline', 'schema']\n"
        "try:\n    main()\nexcept SystemExit: pass\nassert 'albumentations' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=RECIPES.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout == KEPT.read_text()
