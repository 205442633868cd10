"""What every search runs in: Ray, quietly, with room for its trials, and an MLflow run that ends as the search does."""

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from pipeline.base.errors import ZoetropeError
from pipeline.cluster.capacity import lacking
from pipeline.cluster.described import experiment
from pipeline.cluster.joining import joined_address
from pipeline.recipe import Recipe
from pipeline.store import open_store
from pipeline.tracking.address import resolve
from pipeline.verbs.driver import ray_cluster
from tune.tracking import PARENT, start_search_tracker

END_S = 180.0
ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the journal is what is kept
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours, as of every verb
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "RAY_AIR_NEW_OUTPUT": "0",
}


def ray_session(trial: Recipe, console: Console) -> AbstractContextManager[object]:
    """Use the Ray that this process has, or one that is started for trials of the recipe `trial`, and ends."""
    if ray.is_initialized():
        return nullcontext()
    return ray_cluster(trial, console, dashboard=trial.cluster.workers.min > 1)


@contextmanager
def quiet() -> Iterator[None]:
    """Run Ray Tune without its own words, and with our settings."""
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


def check_room(trial: Recipe) -> None:
    """Raise for a trial that this Ray can never run; a cluster that grows by itself tells too little to be asked."""
    if not joined_address() and (lacks := lacking(trial, ray.cluster_resources())):
        raise ZoetropeError(
            f"tune.trial: a trial takes {lacks}. Lower tune.trial.workers, tune.trial.gpus or cluster.cpus_per_worker."
        )


@contextmanager
def parent_run(recipe: Recipe, folder: Path, params: dict[str, Any], console: Console) -> Iterator[Any]:
    """Yield a tracker whose parent run is that of the search in `folder`, and ends as the block does.

    Of a search that has ended it is the same run once more. Ray must be initialised.
    """
    tracking = resolve(recipe.tracking.uri, open_store(recipe.store).url)
    tracker = start_search_tracker(tracking, experiment(recipe), folder.parents[1], folder.name)
    tracker.open.remote(PARENT, folder.name, params, {"zoetrope.role": "search"})
    status = "FAILED"
    try:
        yield tracker
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        try:
            for sentence in ray.get(tracker.end.remote(PARENT, status), timeout=END_S):
                console.print(sentence, markup=False)
        except ray.exceptions.RayError as error:
            console.print(f"The status of the MLflow run could not be set ({type(error).__name__}).", markup=False)
        ray.kill(tracker)
