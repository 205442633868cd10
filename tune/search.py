"""A search: shards once, trials through Ray Tune, a winner. `python -m tune` is a thin layer above `search`."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from pipeline.base.errors import ZoetropeError
from pipeline.base.files import Files
from pipeline.driver import ray_cluster
from pipeline.recipe import Length, Recipe
from pipeline.recipe.tuning import Tune
from pipeline.stages.resources import resources
from pipeline.store import open_store
from pipeline.tracking.address import resolve
from tune import report
from tune.folder import note, search_folder
from tune.journal import Journal, Trial, ranked, winner
from tune.live import View
from tune.proposals import Proposer, proposer, random_values
from tune.schedulers import Explore, make_scheduler
from tune.space import changed, check_tune, trial_recipe, upstream_points
from tune.tracking import PARENT, parameters, start_search_tracker
from tune.trial import VALUE, Job, name_of, run_trial
from tune.upstream import make_shards
from tune.watch import Points, Watcher, config_of, number_of

END_S = 180.0
"""For MLflow to take what is left."""
HEAD = {"node:__internal_head__": 0.001}
"""A part of what the head alone has: Ray Tune takes no trial that needs nothing."""
ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the journal is what is kept
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours, as of every verb
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "RAY_AIR_NEW_OUTPUT": "0",
}


@dataclass(frozen=True)
class Found:
    """What a search has found. `trials`: best first; `best`: None when all failed; `weights`: of the best trial."""

    folder: Path
    trials: list[Trial]
    best: Trial | None
    recipe: Recipe | None
    weights: Path | None


def search(
    recipe: Recipe,
    console: Console,
    resume: bool = False,
    propose: Proposer | None = None,
    name: str | None = None,
    moved: Explore | None = None,
    keep_weights: bool = False,
) -> Found:
    """Search as `recipe.tune` says; starts Ray unless this process has one. ZoetropeError when nothing can be found.

    propose:      proposes the points in place of `tune.search`; its values need not be in `tune.space`, whose keys
                  they give, but must make right recipes (a trial whose recipe is not right fails)
    moved:        takes the place of pbt's own way to change the values of a trial that is replaced
    name:         names the search's folder, by default as the recipe
    keep_weights: keep those of every trial that did not fail, `weights/trial-0003.safetensors` in the search's folder
    """
    tune = check_tune(recipe)
    tracking = resolve(recipe.tracking.uri, open_store(recipe.store).url)
    first = trial_recipe(recipe, tune, random_values(tune.space, recipe.seed, 0))
    with (
        search_folder(recipe, name or recipe.name, resume) as folder,
        nullcontext() if ray.is_initialized() else ray_cluster(first, console, dashboard=tune.trial.workers > 1),
        _quiet(),
    ):
        shards = make_shards(recipe, upstream_points(tune.space), console)
        _check_room(first)
        journal = Journal(folder, tune.metric)
        tracker = start_search_tracker(
            tracking, recipe.tracking.experiment or recipe.name, folder.parents[1], folder.name
        )
        about = {"tune.metric": tune.metric, "tune.mode": tune.mode, "tune.samples": tune.samples}
        kinds = {"tune.scheduler": tune.scheduler.kind, "tune.search": tune.search.kind}
        space = {f"tune.space.{key}": str(domain) for key, domain in tune.space.items()}
        tracker.open.remote(PARENT, folder.name, parameters({**about, **kinds, **space}), {"zoetrope.role": "search"})
        status = "FAILED"
        try:
            job = Job(recipe, tune.metric, shards, folder, tracker)
            with View(console, journal.trials, tune.metric, tune.mode, tune.samples) as view:
                watcher = Watcher(journal, tracker, view)
                _run(recipe, tune, job, journal, propose or proposer(recipe, tune), watcher, moved)
            found = _finish(recipe, tune, folder, journal, keep_weights)
            report.publish(tracker, found, tune)
            note(folder, status="done")
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            journal.close()
            try:
                for sentence in ray.get(tracker.end.remote(PARENT, status), timeout=END_S):
                    console.print(sentence, markup=False)
            except ray.exceptions.RayError as error:
                console.print(f"The status of the MLflow run could not be set ({type(error).__name__}).", markup=False)
            ray.kill(tracker)
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray Tune without its own words, and with our settings."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value


def _check_room(recipe: Recipe) -> None:
    """Raise for a trial that this Ray can never run; a cluster that grows by itself tells too little to be asked."""
    if os.environ.get("RAY_ADDRESS"):
        return
    there = ray.cluster_resources()
    for kind, each in resources(recipe).items():
        needed = each * recipe.cluster.workers.min
        if needed > there.get(kind, 0):
            raise ZoetropeError(
                f"tune.trial: a trial takes {needed:g} {kind}s, and there are {there.get(kind, 0):g}. "
                "Lower tune.trial.workers, tune.trial.gpus or cluster.cpus_per_worker."
            )


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
    """The trainable with what it takes from the cluster, and how many may run at once where Ray does not know it."""
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
    """Turns a duration into epochs of the recipe's own batch size."""
    from pipeline.feed.batch import BatchSource
    from pipeline.shards.dataset import open_dataset

    each = BatchSource(recipe, open_dataset(files), "train", training=True).steps
    return lambda length: _steps(length, each, recipe) / each


def _steps(length: Length, steps_per_epoch: int, recipe: Recipe) -> int:
    return length.steps(steps_per_epoch, recipe.train.batch_size)


def _finish(recipe: Recipe, tune: Tune, folder: Path, journal: Journal, keep_weights: bool) -> Found:
    """Write down what was found; checkpoints go, but for the weights that are kept."""
    trials = ranked(journal.trials.values(), tune.mode)
    best = winner(trials, tune.mode)
    made = changed(recipe, best.values) if best else None
    weights = report.save_weights(best, folder / "best.safetensors") if best else None
    if keep_weights:
        for trial in trials:
            if trial.status != "failed":
                report.save_weights(trial, folder / "weights" / f"{name_of(trial.number)}.safetensors")
    found = Found(folder, trials, best, made, weights)
    report.write(found, recipe, tune)
    for name in ("ray", "trials"):
        shutil.rmtree(folder / name, ignore_errors=True)
    return found
