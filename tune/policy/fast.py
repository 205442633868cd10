"""Fast AutoAugment (Lim et al. 2019): a model and a search a fold, and the union of what the folds keep."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from augment.policy import Policy
from pipeline.base.errors import ZoetropeError
from pipeline.recipe import Recipe, check, plain
from pipeline.recipe.policies import FastAutoAugment
from pipeline.shards.dataset import Dataset
from tune.policy import folds, propose
from tune.policy.child import train_child
from tune.policy.density import Density
from tune.policy.propose import Candidate
from tune.policy.recipes import with_transform
from tune.policy.space import Space, union

CANDIDATES = "candidates.jsonl"

OnPoints = Callable[[int, int, dict[str, float]], None]
"""Steps or candidates done, those in all, metrics."""


def search_fold(
    recipe: Recipe, dataset: Dataset, options: FastAutoAugment, number: int, folder: Path, on_points: OnPoints
) -> list[Candidate]:
    """Train fold `number`'s model, then score candidates by it; `folder` keeps both, and a second call goes on there.

    A pure function of (recipe, dataset, options, number).
    """
    plain_recipe = without_augmentation(recipe)
    with TemporaryDirectory() as indices:
        fold = fold_of(recipe, dataset, options, number, Path(indices))
        weights = train_child(plain_recipe, fold, folder, on_points)
        density = Density.of(recipe, fold, weights, options.samples, recipe.seed, number)
    log = folder / CANDIDATES
    done: list[Candidate] = []
    key = (recipe.seed, number)
    for one in propose.search(space(options), density, options.candidates, key, propose.read_log(log)):
        done.append(one)
        propose.write_log(log, done)
        top = propose.best(done, 1)[0]
        on_points(len(done), options.candidates, {"policy/top1": one.top1, "policy/best": top.top1})
    return done


def unite(found: Sequence[Sequence[Candidate]], options: FastAutoAugment) -> Policy:
    """Return the policy: what each fold keeps, the best ones first."""
    kept = [one for candidates in found for one in propose.best(candidates, options.keep)]
    return union(space(options).decode(one.vector) for one in propose.best(kept, len(kept)))


def space(options: FastAutoAugment) -> Space:
    """Return what candidates are drawn from."""
    return Space(options.sub_policies, options.operations)


def fold_of(recipe: Recipe, dataset: Dataset, options: FastAutoAugment, number: int, folder: Path) -> Dataset:
    """Fold `number`: its split `train` is to train on, `val` to score on. ZoetropeError when it is too small."""
    if recipe.task.label_sets:
        raise ZoetropeError(
            f"tune.policy: density matching needs one label a sample, and task.kind is {recipe.task.kind}"
        )
    out = folds.held_out(folds.labels_of(dataset, "train"), options.held_out, recipe.seed, number)
    if (~out).sum() < recipe.train.distinct and not recipe.train.keep_last:
        raise ZoetropeError(
            f"tune.policy.held_out: {(~out).sum()} training samples are left to a fold, fewer than train.batch_size; "
            "lower one of the two, or set train.keep_last to true"
        )
    scored = ("train", out)
    if options.score == "val":
        scored = ("val", np.ones(dataset.split("val").samples, bool))
    return folds.subset(dataset, folder, {"train": ("train", ~out), "val": scored})


def without_augmentation(recipe: Recipe) -> Recipe:
    """Return the recipe of a fold's model: without a policy and without mixing; crops and flips stay."""
    return check({**plain(with_transform(recipe, None)), "mixing": {"kind": "none"}}, f"{recipe.name} of a fold")
