import pytest

from pipeline.cli import app
from pipeline.verbs.misread import SEARCHES, VERBS, answer

OPTIONS = {"run": ["--rerun", "--allow", "--help"], "ls": None}
COMMANDS = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}


def said(*typed: str) -> str:
    return answer(typed, OPTIONS) or ""


@pytest.mark.parametrize(("right", "verb"), [(right, verb) for right, verbs in VERBS.items() for verb in verbs.split()])
def test_a_verb_of_another_tool(right: str, verb: str) -> None:
    assert right.split()[0] in COMMANDS
    assert verb not in COMMANDS
    assert said(verb) == f"there is no verb '{verb}'; write python -m pipeline {right}"


@pytest.mark.parametrize("verb", SEARCHES)
def test_a_search_is_another_program(verb: str) -> None:
    assert said(verb, "r.yaml").endswith("; write python -m tune RECIPE")


def test_a_recipe_is_taken_over() -> None:
    assert said("r.yaml") == "a verb is missing; write python -m pipeline run r.yaml"
    assert "write python -m pipeline run my.yml, which trains" in said("train", "--epochs", "3", "my.yml")
    assert said("rnu", "r.yaml") == ""


@pytest.mark.parametrize(
    ("typed", "write"),
    [
        ("--epochs 10", "; write train.duration=10ep"),
        ("--epochs=10", "; write train.duration=10ep"),
        ("--batch-size 8", "; write train.batch_size=8"),
        ("--data.source.path X", "; write data.source.path=X"),
        ("--optimizer.lr", "; write optimizer.lr=..."),
        ("--amp --epochs 10", "; write train.precision=bf16"),
        ("--lr -1", "; write optimizer.lr=..."),
        ("--gpus 2", "; a GPU is used where there is one"),
        ("--foo 3", ""),
    ],
)
def test_options_that_are_keys(typed: str, write: str) -> None:
    name = typed.replace("=", " ").split()[0]
    head = f"there is no option {name}: a change of the recipe is written key=value, without dashes{write}"
    assert said("run", "r.yaml", *typed.split()).startswith(head)


@pytest.mark.parametrize(
    "typed", ["run r.yaml lr=1", "run r.yaml --rerun train", "run r.yaml --rerrun x", "ls --foo x"]
)
def test_other_lines_are_left_to_the_parser(typed: str) -> None:
    assert said(*typed.split()) == ""
