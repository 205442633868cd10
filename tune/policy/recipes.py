"""Where a policy stands in a recipe, and its file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from augment.policy import Policy, Schedule
from pipeline.recipe import Recipe, check, plain
from pipeline.shards.file_io import write_bytes

FAMILY = ("AutoAugment", "RandAugment", "TrivialAugment", "PopulationBased")
"""What a policy takes the place of."""
POSITION = ("fill", "fill_mask", "p")
"""Parameters that all of the family have, and that stay."""

Transform = dict[str, dict[str, Any]]


def kept(recipe: Recipe) -> dict[str, Any]:
    """Return the parameters, such as `fill`, of the recipe's own AutoAugment or the like, which
    a found policy keeps.
    """
    for transform in recipe.augment.train:
        for name, parameters in transform.items():
            if name in FAMILY:
                return {key: value for key, value in parameters.items() if key in POSITION}
    return {}


def with_transform(recipe: Recipe, transform: Transform | None) -> Recipe:
    """Return the recipe with `transform` in place of its own AutoAugment or the like, else behind all others.

    None: without any.
    """
    put = [transform] if transform else []
    train: list[Transform] = []
    for own in recipe.augment.train:
        if not set(own) & set(FAMILY):
            train.append(own)
        else:
            train, put = train + put, []
    values = plain(recipe)
    return check({**values, "augment": {**values["augment"], "train": train + put}}, f"{recipe.name} with a policy")


def auto_augment(recipe: Recipe, policy: Policy) -> Transform:
    """Return the transform that applies `policy`, with the parameters that the recipe's own has."""
    return {"AutoAugment": {"policy": [[list(step) for step in sub] for sub in policy], **kept(recipe)}}


def write_policy(policy: Policy, path: Path, about: Mapping[str, str]) -> None:
    """Write a policy file in YAML, a sub-policy a line, `about` in comments above."""
    _write([json.dumps([list(step) for step in sub]) for sub in policy], path, about)


def write_schedule(schedule: Schedule, path: Path, about: Mapping[str, str]) -> None:
    """Write a schedule file in YAML, a line for each epoch at which it changes, `about` in comments above."""
    _write([json.dumps([epoch, [list(step) for step in steps]]) for epoch, steps in schedule], path, about)


def _write(entries: Sequence[str], path: Path, about: Mapping[str, str]) -> None:
    lines = [f"# {key}: {' '.join(value.split())}" for key, value in about.items()]
    write_bytes(path, "\n".join([*lines, *(f"- {entry}" for entry in entries), ""]).encode())
