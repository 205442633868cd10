"""From a point of the search space to a recipe, and the checks that every point gives a right one."""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.recipe import Recipe, RecipeError, check, parse, plain
from pipeline.recipe.load import set_key
from pipeline.recipe.space import Domain
from pipeline.recipe.tuning import Tune
from pipeline.recipe.validate import recipe_error, transform_problems
from pipeline.stages import ingest, shard
from pipeline.tasks import task_of
from pipeline.tasks.base import riding
from pipeline.training.statistics import asked

Values = dict[str, Any]
"""Recipe key to value: a point of the space."""

NO_RESULT = ("name", "store", "feed", "cluster", "tracking", "tune")
"""Sections that never change what a training makes."""
CHANGEABLE = (
    *("optimizer.lr", "optimizer.l1", "train.grad_clip", "loss.label_smoothing"),
    *("mixing", "schedule", "augment.train"),
)
"""What may change in mid-training. Other keys are in a checkpoint, or say what the model and the data are."""
UPSTREAM = (*ingest.STAGE.keys, *shard.STAGE.keys)


def changed(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return the recipe with other values, without its section `tune`. RecipeError when that is no right recipe."""
    whole = {key: value for key, value in plain(recipe).items() if key != "tune"}
    for key in sorted(values, key=lambda key: not key.endswith(".kind")):  # a new kind drops the options of the old one
        set_key(whole, key, copy.deepcopy(values[key]))
    return check(whole, recipe.name)


def trial_recipe(recipe: Recipe, tune: Tune, values: Mapping[str, Any]) -> Recipe:
    """Return what a trial trains: on the trial's resources, with a checkpoint wherever it is measured."""
    trial = tune.trial
    places = {
        "cluster.workers": trial.workers,
        "cluster.gpus_per_worker": trial.gpus,
        "cluster.max_failures": trial.retries,
        "train.checkpoint": str(recipe.train.evaluate),
    }
    made = changed(recipe, {**places, **values})
    return changed(made, {"train.checkpoint": str(made.train.evaluate)}) if "train.evaluate" in values else made


def check_tune(recipe: Recipe) -> Tune:
    """Return the section `tune`, all of whose values make right recipes. RecipeError with all that is wrong."""
    if recipe.tune is None:
        raise ZoetropeError(
            f"{recipe.name}: the recipe has no section `tune`, which says what to search over. "
            "docs/tune.md shows one; recipes/tune-quickstart.yaml is an example."
        )
    tune = recipe.tune
    metrics = [f"val/{name}" for name in task_of(recipe).measures]
    problems = [] if tune.metric in metrics else [f"tune.metric: {unknown('metric', tune.metric, metrics)}"]
    problems += _key_problems(tune)
    if asked(recipe):
        problems.append(
            "augment.mean, augment.std: a search does not measure them; run the recipe once, and write the numbers "
            "that its training says"
        )
    problems = problems or list(_value_problems(recipe, tune.space))
    problems = problems or list(_length_problems(recipe, tune))
    if tune.search.kind == "grid":
        problems += _grid_problems(tune)
    if problems:
        raise recipe_error(recipe.name, problems)
    return tune


def _key_problems(tune: Tune) -> Iterator[str]:
    for key, domain in tune.space.items():
        if key.split(".")[0] in NO_RESULT:
            yield f"tune.space: {key} changes no result, so there is nothing to search; leave it out"
        elif tune.scheduler.kind == "pbt" and not is_below(key, CHANGEABLE):
            yield (
                f"tune.space: {key} cannot change in mid-training, as pbt does; "
                f"with pbt a space may hold {', '.join(CHANGEABLE)}"
            )
        elif tune.search.kind == "optuna" and is_below(key, UPSTREAM) and domain.listed is None:
            yield f"tune.space: {key} makes other shards, which are made before the trials; give it a choice(...)"
    if tune.scheduler.kind == "pbt":
        if tune.search.kind == "optuna":
            yield "tune.search.kind: pbt searches itself, from random values; leave the search out"
        if tune.trial.workers > 1:
            yield "tune.trial.workers: pbt hands over checkpoints between trials of 1 worker; set it to 1"
        if tune.samples < 2:
            yield "tune.samples: pbt compares trials; set it to 2 or more"


def _length_problems(recipe: Recipe, tune: Tune) -> Iterator[str]:
    """Yield what can be told of lengths in one unit; others are compared when the shards are there."""
    ends = tune.space["train.duration"].ends if "train.duration" in tune.space else [recipe.train.duration]
    durations = [parse(end) for end in ends]
    for name in ("grace", "interval"):
        length = getattr(tune.scheduler, name, None)
        if length and all(one.unit == length.unit and one.amount < length.amount for one in durations):
            yield f"tune.scheduler.{name}: {length} is longer than any trial; lower it, or raise train.duration"


def _value_problems(recipe: Recipe, space: Mapping[str, Domain]) -> Iterator[str]:
    """Yield what is wrong with each value that a key can take, of ranges the ends; the others are at their first."""
    first = {key: domain.ends[0] for key, domain in space.items()}
    reported: set[str] = set()
    for key, domain in space.items():
        for value in domain.ends:
            for problem in problems_of(recipe, {**first, key: value}):
                if problem not in reported:
                    reported.add(problem)
                    yield f"tune.space: {key} = {json.dumps(value)}: {problem}"


def problems_of(recipe: Recipe, values: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with one point of the space."""
    try:
        made = changed(recipe, values)
    except RecipeError as error:
        head, *lines = str(error).splitlines()
        return [line.strip() for line in lines] or [head]
    if not any(key.startswith("augment") for key in values):
        return []
    task = task_of(made)
    rides = {name: riding(task, name == "train", made.clip.flow is not None) for name in ("train", "eval")}
    return transform_problems(plain(made), rides, made.data.bands)


def _grid_problems(tune: Tune) -> Iterator[str]:
    points = 1
    for key, domain in tune.space.items():
        if domain.listed is None:
            yield f"tune.space: {key}: a grid cannot go through {domain}; write quniform(...) or choice(...)"
        else:
            points *= len(domain.listed)
    if points > tune.samples:
        yield f"tune.samples: the grid has {points} points; set it to {points}, or take points out of the space"


def is_below(key: str, sections: Iterable[str]) -> bool:
    """Tell whether a dotted key is one of `sections`, in one of them, or holds one."""
    return any(f"{key}.".startswith(f"{one}.") or f"{one}.".startswith(f"{key}.") for one in sections)


def upstream(values: Mapping[str, Any]) -> str:
    """Return the part of a point that says which shards it needs, as a name: equal parts share their shards."""
    return json.dumps({key: value for key, value in sorted(values.items()) if is_below(key, UPSTREAM)})


def upstream_points(space: Mapping[str, Domain]) -> Iterator[Values]:
    """Yield all combinations of values of the keys that make other shards."""
    keys = [key for key in space if is_below(key, UPSTREAM)]
    for point in product(*(space[key].listed or space[key].ends for key in keys)):
        yield dict(zip(keys, point, strict=True))
