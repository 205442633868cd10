"""The driver of a run: starts or joins Ray, executes the plan, and owns the status of the MLflow run."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from rich.console import Console

from pipeline.base.errors import ZoetropeError
from pipeline.cluster.described import Typed
from pipeline.cluster.joining import embedded, join, joined_address, start
from pipeline.cluster.lost import RayLostError, signals_end_the_block
from pipeline.cluster.resources import cores, cpus, why_no_gpus
from pipeline.cluster.tracker import Services, start_tracker, watched
from pipeline.graph.execute import StageResult, execute
from pipeline.graph.plan import Plan, planned_stages
from pipeline.graph.progress import Progress
from pipeline.recipe import Recipe, plain
from pipeline.store import Store
from pipeline.store.record import Run
from pipeline.tracking.address import resolve

if TYPE_CHECKING:
    from pipeline.tracking.mlflow_run import Status

END_S = 120.0
"""For MLflow to take the status of a run that has ended, by another tracker if need be."""


def drive(
    recipe: Recipe, plan: Plan, store: Store, console: Console, typed: Typed | None = None
) -> Sequence[StageResult]:
    """Execute `plan` on Ray; the MLflow run that the stages opened ends as the run ends.

    typed: what the run was started by, for its name and description in MLflow
    """
    tracking = resolve(recipe.tracking.uri, store.url)
    record = store.record_run(recipe.name, plain(recipe), planned_stages(plan.steps))
    status: Status = "FAILED"
    with _closing(record), ray_cluster(recipe, console) as lost:
        if any(step.stage.name == "train" for step in plan.to_run):
            gpus = ray.cluster_resources().get("GPU", 0)
            console.print(why_no_gpus(recipe, gpus, joined=joined_address() is not None), end="", markup=False)
        services = Services(start_tracker(tracking, recipe, store.home, record.folder, typed), record.folder)
        with watched(services):
            try:
                with Progress(console) as progress:
                    results = execute(plan, recipe, store, services, progress, record)
                status = "FINISHED"
                _report(record, store, services.tracker, console)
            except KeyboardInterrupt:
                status = "KILLED"
                raise
            finally:
                if not lost:  # a tracker whose death nobody tells would be waited for
                    _end_tracking(services.tracker, status, console)
    return results


@contextmanager
def _closing(record: Run) -> Iterator[None]:
    """End a record that `execute` did not come to, as Ray did not start, for one."""
    try:
        yield
    except BaseException as error:
        if record.record["status"] == "running":
            with suppress(OSError, ZoetropeError):  # a full store must not hide what happened
                record.end("failed" if isinstance(error, Exception) else "interrupted")
        raise


def _report(record: Run, store: Store, tracker: Any, console: Console) -> None:
    """Write the run's page, and hand it to MLflow. Whatever goes wrong is said: the run is done without it."""
    from pipeline.verbs.report import of_run

    try:
        if page := of_run(record, store):
            ray.get(tracker.log_files.remote({page.name: page}), timeout=END_S)
    except Exception as error:
        console.print(f"The report of this run could not be made: {type(error).__name__}: {error}", markup=False)


def _end_tracking(tracker: Any, status: "Status", console: Console) -> None:
    try:
        for sentence in ray.get(tracker.end.remote(status), timeout=END_S):
            console.print(sentence, markup=False)
    except ray.exceptions.RayError as error:
        console.print(
            f"The MLflow run's status {status} could not be set ({type(error).__name__}); "
            "the next command on this store, `ls` for one, sets it.",
            markup=False,
        )


@contextmanager
def ray_cluster(recipe: Recipe, console: Console, dashboard: bool = False) -> Iterator[list[str]]:
    """Join the cluster that RAY_ADDRESS names, or start one embedded in this process, which ends with it.

    Gives the list of Ray's processes that died, empty as long as Ray can be asked.
    `dashboard`: on the loopback interface; Ray Train cleans up behind a trial of Ray Tune's only where there is one.
    """
    address = joined_address()
    console.print(f"{'joining' if address else 'starting'} Ray ...")
    with embedded():
        _join_or_start(address, recipe, dashboard)
        try:
            with signals_end_the_block() as lost:  # after ray.init, which installs its own
                yield lost
        except RayLostError:  # there is nothing to shut down
            raise
        except BaseException:
            ray.shutdown()
            raise
        ray.shutdown()


def _join_or_start(address: str | None, recipe: Recipe, dashboard: bool) -> None:
    if address:
        join(address)
    else:
        # Training workers wait for ever on a machine with fewer CPUs than they ask for; better to share them.
        needed = math.ceil(cpus(recipe))
        # By environment: with a `runtime_env`, the processes that Ray starts in advance could not be used.
        path = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(path)
        # Nobody takes the only node away, so no process need look out for that.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
        start(num_cpus=max(cores(), needed), include_dashboard=dashboard)
        with suppress(OSError, RuntimeError):  # Ray writes its token readable for everybody
            Path("~/.ray/auth_token").expanduser().chmod(0o600)
