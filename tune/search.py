"""A search: shards once, trials through Ray Tune, a winner. `python -m tune` is a thin layer above `search`."""

import shutil
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from pipeline.base.files import Files
from pipeline.cluster.resources import resources
from pipeline.recipe import Length, Recipe
from pipeline.recipe.tuning import Tune
from tune import search_report
from tune.journal import Journal, Trial, ranked, winner
from tune.live import View
from tune.proposals import Proposer, proposer, random_values
from tune.result import SearchResult
from tune.schedulers import Explore, make_scheduler
from tune.search_folder import note, search_folder
from tune.session import check_room, parent_run, quiet, ray_session
from tune.space import changed, check_tune, trial_recipe, upstream_points
from tune.tracking import parameters
from tune.trial import VALUE, Job, name_of, run_trial
from tune.upstream import make_shards
from tune.watch import Points, Watcher, config_of, number_of

HEAD = {"node:__internal_head__": 0.001}
"""A part of what the head alone has: Ray Tune takes no trial that needs nothing."""


def search(
    recipe: Recipe,
    console: Console,
    resume: bool = False,
    propose: Proposer | None = None,
    moved: Explore | None = None,
) -> SearchResult:
    """Search as `recipe.tune` says; starts Ray unless this process has one. ZoetropeError when nothing can be found.

    propose: proposes the points in place of `tune.search`; its values need not be in `tune.space`, whose keys they
             give, but must make right recipes (a trial whose recipe is not right fails)
    moved:   takes the place of pbt's own way to change the values of a trial that is replaced
    """
    tune = check_tune(recipe)
    first = trial_recipe(recipe, tune, random_values(tune.space, recipe.seed, 0))
    with search_folder(recipe, resume) as folder, ray_session(first, console), quiet():
        check_room(first)
        shards = make_shards(recipe, upstream_points(tune.space), console)
        about = {"tune.metric": tune.metric, "tune.mode": tune.mode, "tune.samples": tune.samples}
        kinds = {"tune.scheduler": tune.scheduler.kind, "tune.search": tune.search.kind}
        space = {f"tune.space.{key}": str(domain) for key, domain in tune.space.items()}
        with (
            closing(Journal(folder, tune.metric)) as journal,
            parent_run(recipe, folder, parameters({**about, **kinds, **space}), console) as tracker,
        ):
            job = Job(recipe, tune.metric, shards, folder, tracker)
            with View(console, journal.trials, tune.metric, tune.mode, tune.samples) as view:
                watcher = Watcher(journal, tracker, view)
                _run(recipe, tune, job, journal, propose or proposer(recipe, tune), watcher, moved)
            found = _finish(recipe, tune, folder, journal)
            search_report.publish(tracker, found, tune)
            note(folder, status="done")
    return found


def _run(
    recipe: Recipe,
    tune: Tune,
    job: Job,
    journal: Journal,
    propose: Proposer,
    watcher: Watcher,
    moved: Explore | None,
) -> None:
    """Run what is still to be run."""
    from ray import tune as ray_tune

    epochs = _epochs(recipe, next(iter(job.shards.values())))
    durations = [recipe.train.duration]
    if "train.duration" in tune.space:
        from pipeline.recipe import parse

        durations = [parse(end) for end in tune.space["train.duration"].ends]
    scheduler = make_scheduler(tune, epochs, max(map(epochs, durations)), recipe.seed, moved)
    unfinished = [trial for trial in journal.trials.values() if trial.status == "running"]
    first = len(journal.trials)
    to_come = max(0, tune.samples - first)
    if not unfinished and (not to_come or propose(first, list(journal.trials.values())) is None):
        return
    start = {t.number: t.checkpoint for t in unfinished if t.checkpoint and Path(t.checkpoint).is_dir()}
    job = Job(job.recipe, job.metric, job.shards, job.folder, job.tracker, start)
    trainable, at_once = _placed(recipe, tune, job)
    is_pbt = tune.scheduler.kind == "pbt"
    if is_pbt:  # which takes no searcher, so its points are known ahead
        proposed = ((number, propose(number, [])) for number in range(first, first + to_come))
        fresh = [Trial(number, values, tune.metric) for number, values in proposed if values is not None]
        points = ray_tune.grid_search([config_of(trial)["point"] for trial in unfinished + fresh])
    tuner = ray_tune.Tuner(
        trainable,
        param_space={"point": points} if is_pbt else {},
        tune_config=ray_tune.TuneConfig(
            metric=VALUE,
            mode=tune.mode,
            search_alg=None if is_pbt else Points(journal, propose, tune.samples, scheduler),
            scheduler=scheduler,
            num_samples=1 if is_pbt else len(unfinished) + to_come,
            max_concurrent_trials=at_once,
            trial_dirname_creator=lambda trial: name_of(number_of(trial)),
        ),
        run_config=ray_tune.RunConfig(
            name=f"attempt-{len(list(job.folder.glob('ray/attempt-*')))}",
            storage_path=str(job.folder / "ray"),
            callbacks=[watcher],
            failure_config=ray_tune.FailureConfig(max_failures=tune.trial.retries),
            # The last one may be half written when all is killed. pbt hands on those of others.
            checkpoint_config=ray_tune.CheckpointConfig(num_to_keep=4 if is_pbt else 2),
            verbose=0,
        ),
    )
    tuner.fit()


def _placed(recipe: Recipe, tune: Tune, job: Job) -> tuple[Any, int | None]:
    """Return the trainable with what it takes from the cluster, and how many may run at once
    where Ray does not know it.
    """
    from ray import tune as ray_tune

    trial = trial_recipe(recipe, tune, random_values(tune.space, recipe.seed, 0))
    each = resources(trial)
    function = partial(run_trial, job=job)
    if tune.trial.workers == 1:
        return ray_tune.with_resources(function, ray_tune.PlacementGroupFactory([each])), None
    # Ray Train's workers take their own; the process that waits for them takes none, beside the driver.
    there = ray.cluster_resources()
    at_once = min(int(there.get(kind, 0) / (amount * tune.trial.workers)) for kind, amount in each.items())
    return ray_tune.with_resources(function, ray_tune.PlacementGroupFactory([HEAD])), max(1, at_once)


def _epochs(recipe: Recipe, files: Files) -> Any:
    """Return a function that turns a duration into epochs of the recipe's own batch size."""
    from pipeline.feed.batch import BatchSource
    from pipeline.shards.dataset import open_dataset

    each = BatchSource(recipe, open_dataset(files), "train", training=True).steps
    return lambda length: _steps(length, each, recipe) / each


def _steps(length: Length, steps_per_epoch: int, recipe: Recipe) -> int:
    return length.steps(steps_per_epoch, recipe.train.batch_size)


def _finish(recipe: Recipe, tune: Tune, folder: Path, journal: Journal) -> SearchResult:
    """Write down what was found; checkpoints go, but for the best one's weights."""
    trials = ranked(journal.trials.values(), tune.mode)
    best = winner(trials, tune.mode)
    made = changed(recipe, best.values) if best else None
    weights = search_report.save_weights(best, folder / "best.safetensors") if best else None
    found = SearchResult(folder, trials, best, made, weights)
    search_report.write(found, recipe, tune)
    for name in ("ray", "trials"):
        shutil.rmtree(folder / name, ignore_errors=True)
    return found
