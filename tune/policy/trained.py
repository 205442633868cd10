"""AutoAugment's search (Cubuk et al. 2019): every candidate trains a model, whose validation scores it.

The paper's controller, an LSTM trained by reinforcement, asks for 15,000 trainings. Here TPE proposes, after what the
candidates so far have scored. The best ones are put together, as in the paper.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from augment.policy import Policy, load_policy
from pipeline.recipe import Recipe
from pipeline.recipe.policies import AutoAugmentSearch
from pipeline.recipe.space import Choice, Domain, Uniform
from pipeline.recipe.tuning import Tune
from tune.journal import Trial
from tune.policy.leave import leave
from tune.policy.recipes import auto_augment, with_transform
from tune.policy.space import OPERATIONS, Space, union
from tune.proposals import Proposer, optuna_values
from tune.search import search
from tune.search_report import show
from tune.session import parent_run, ray_session
from tune.space import Values, check_tune, trial_recipe

TRAIN = "augment.train"
STARTUP = 10
"""Candidates that are drawn evenly first."""


def search_trained(recipe: Recipe, tune: Tune, options: AutoAugmentSearch, console: Console, resume: bool) -> Path:
    """Train all candidates, put the best ones together; the search's folder."""
    began = time.monotonic()
    searched = recipe.model_copy(update={"tune": as_search(recipe, tune, options)})
    checked = check_tune(searched)
    with ray_session(trial_recipe(searched, checked, {}), console):
        found = search(searched, console, resume, propose=proposals(recipe, tune.mode, options))
        show(console, found, recipe, checked, time.monotonic() - began)
        best = [trial for trial in found.trials if trial.status == "done" and trial.value is not None][: options.keep]
        lines = [f"| {trial.number} | {trial.value:.4f} |" for trial in best]
        table = "\n".join([f"| candidate | {tune.metric} |", "|---|---|", *lines])
        policy = union(policy_of(trial.values) for trial in best)
        with parent_run(recipe, found.folder, {}, console) as tracker:
            leave(recipe, policy, found.folder, "autoaugment", table, tracker)
    return found.folder


def as_search(recipe: Recipe, tune: Tune, options: AutoAugmentSearch) -> Tune:
    """Return the section `tune` of the trials; the point that it names is one of those that may be proposed."""
    first = transforms(recipe, space_of(options).random(recipe.seed))
    values = {
        "samples": options.candidates,
        "space": {TRAIN: f"choice({first!r})", "train.duration": f"choice('{options.duration}')"},
    }
    return Tune.model_validate({**tune.model_dump(exclude={"policy"}), **values})


def proposals(recipe: Recipe, mode: str, options: AutoAugmentSearch) -> Proposer:
    """Return what `tune.search.search` asks for the point of each trial.

    A function of the seed and the trials so far.
    """
    space = space_of(options)
    domains: dict[str, Domain] = {}
    for place in space.places:
        domains[f"operation_{place}"] = Choice("operations", OPERATIONS)
        domains |= {f"{what}_{place}": Uniform("uniform(0, 1)", 0, 1) for what in ("probability", "strength")}

    def propose(number: int, trials: Sequence[Trial]) -> Values:
        known = [replace(trial, values=space.encode(policy_of(trial.values))) for trial in trials]
        vector = optuna_values(domains, recipe.seed, number, known, mode, STARTUP)
        return {TRAIN: transforms(recipe, space.decode(vector)), "train.duration": str(options.duration)}

    return propose


def space_of(options: AutoAugmentSearch) -> Space:
    """Return what candidates are drawn from."""
    return Space(options.sub_policies, options.operations)


def transforms(recipe: Recipe, policy: Policy) -> list[dict[str, dict[str, Any]]]:
    """Return the recipe's `augment.train` with the policy."""
    return with_transform(recipe, auto_augment(recipe, policy)).augment.train


def policy_of(values: Values) -> Policy:
    """Return the policy of a point."""
    return load_policy(next(each["AutoAugment"]["policy"] for each in values[TRAIN] if "AutoAugment" in each))
