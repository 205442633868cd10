"""Fast AutoAugment on Ray Tune: a trial a fold. What a trial knows lies in its folder, so it goes on where it was."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ray.tune import Callback
from rich.console import Console

from pipeline.base.errors import ZoetropeError
from pipeline.base.files import Files
from pipeline.cluster.resources import resources
from pipeline.graph.progress import Progress
from pipeline.recipe import Recipe
from pipeline.recipe.policies import FastAutoAugment
from pipeline.recipe.tuning import Tune
from tune.policy import fast, propose
from tune.policy.leave import leave
from tune.search_folder import note, search_folder
from tune.session import check_room, parent_run, quiet, ray_session
from tune.space import trial_recipe, upstream
from tune.tracking import Child, parameters
from tune.upstream import make_shards
from tune.watch import Unkept, reason


@dataclass(frozen=True)
class Job:
    """What all folds of a search have in common."""

    recipe: Recipe
    options: FastAutoAugment
    shards: Files
    folder: Path
    tracker: Any


def search_fast(recipe: Recipe, tune: Tune, options: FastAutoAugment, console: Console, resume: bool) -> Path:
    """Search all folds, unite what they keep; the search's folder. ZoetropeError when no fold comes to its end."""
    trial = trial_recipe(recipe, tune, {})
    with search_folder(recipe, resume) as folder, ray_session(trial, console), quiet():
        check_room(trial)
        shards = make_shards(recipe, [{}], console)[upstream({})]
        about = parameters({f"tune.policy.{key}": value for key, value in options.model_dump().items()})
        with parent_run(recipe, folder, about, console) as tracker:
            with Progress(console) as progress:
                _run(Job(trial, options, shards, folder, tracker), tune.trial.retries, progress)
            found = [propose.read_log(fold_folder(folder, number) / fast.CANDIDATES) for number in range(options.folds)]
            leave(recipe, fast.unite(found, options), folder, "fast", _table(found), tracker)
            note(folder, status="done")
            shutil.rmtree(folder / "ray", ignore_errors=True)
    return folder


def fold_folder(folder: Path, number: int) -> Path:
    """Tell where a fold keeps its model and its candidates."""
    return folder / f"fold-{number}"


class Watch(Unkept, Callback):
    """Shows and tells MLflow how far each fold is; `failed`: fold -> why."""

    def __init__(self, tracker: Any, progress: Progress) -> None:
        self._tracker, self._progress = tracker, progress
        self.failed: dict[int, str] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note that its process is there; again after a retry."""
        number = trial.config["fold"]
        self._progress.start(f"fold {number}")
        self._tracker.open.remote(number, f"fold-{number}", {"fold": number}, {"zoetrope.role": "trial"})

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """Note that a candidate was scored, or that the fold failed in a way that would come again."""
        number = trial.config["fold"]
        if "failed" in result:
            self.failed[number] = result["failed"]
        elif "best" in result:
            note = f"best top-1 {result['best']:.1%}"
            self._progress.update(f"fold {number}", result["scored"], result["total"], note)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note that it has ended by itself."""
        self._end(trial.config["fold"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note that its last try failed."""
        self.failed[trial.config["fold"]] = reason(trial)
        self._end(trial.config["fold"])

    def _end(self, number: int) -> None:
        why = self.failed.get(number)
        self._progress.finish(f"fold {number}", f"failed: {why}" if why else "done")
        self._tracker.end.remote(number, "FAILED" if why else "FINISHED")


def _run(job: Job, retries: int, progress: Progress) -> None:
    """Run a trial a fold; ZoetropeError when one failed, after all others have ended."""
    from ray import tune as ray_tune

    each = resources(job.recipe)
    watch = Watch(job.tracker, progress)
    ray_tune.Tuner(
        ray_tune.with_resources(partial(run_fold, job=job), ray_tune.PlacementGroupFactory([each])),
        param_space={"fold": ray_tune.grid_search(list(range(job.options.folds)))},
        run_config=ray_tune.RunConfig(
            name=f"attempt-{len(list(job.folder.glob('ray/attempt-*')))}",
            storage_path=str(job.folder / "ray"),
            callbacks=[watch],
            failure_config=ray_tune.FailureConfig(max_failures=retries),
            verbose=0,
        ),
    ).fit()
    if watch.failed:
        number, why = min(watch.failed.items())
        raise ZoetropeError(f"fold {number} of the policy search failed: {why} The same command with --resume goes on.")


def run_fold(config: dict[str, Any], job: Job) -> None:
    """Search one fold, in a process of its own. What would fail again alike is reported; all else is raised."""
    from ray import tune

    from pipeline.shards.dataset import open_dataset

    child = Child(job.tracker, config["fold"])

    def on_points(done: int, total: int, metrics: dict[str, float]) -> None:
        child.send(done, metrics)
        if "policy/best" in metrics:
            tune.report({"scored": done, "total": total, "best": metrics["policy/best"]})

    folder = fold_folder(job.folder, config["fold"])
    folder.mkdir(exist_ok=True)
    try:
        fast.search_fold(job.recipe, open_dataset(job.shards), job.options, config["fold"], folder, on_points)
    except ZoetropeError as error:
        tune.report({"failed": str(error)})


def _table(found: list[list[propose.Candidate]]) -> str:
    lines = ["| fold | candidates | best top-1 | median |", "|---|---|---|---|"]
    for number, candidates in enumerate(found):
        scores = sorted(one.top1 for one in candidates)
        lines.append(f"| {number} | {len(scores)} | {scores[-1]:.1%} | {scores[len(scores) // 2]:.1%} |")
    return "\n".join(lines)
