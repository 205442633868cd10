"""The driver of a run: starts or joins Ray, executes the plan, and owns the status of the MLflow run."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from pipeline.execute import StageResult, execute
from pipeline.graph import Plan
from pipeline.progress import Progress
from pipeline.recipe import Recipe, plain
from pipeline.stages.tracker import RUN_ID_FILE, Services
from pipeline.store import Store
from pipeline.tracking import runs
from pipeline.tracking.address import resolve


def drive(recipe: Recipe, plan: Plan, store: Store, console: Console) -> Sequence[StageResult]:
    """Execute `plan` on Ray; the MLflow run that the stages opened ends as the run ends."""
    tracking = resolve(recipe.tracking.uri, store.url)
    record = store.record_run(recipe.name, plain(recipe), plan.steps)
    status: runs.Status = "FAILED"
    with ray_cluster(recipe, console):
        try:
            with Progress(console) as progress:
                results = execute(plan, recipe, store, Services(tracking, record.folder), progress, record)
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            run_id = record.folder / RUN_ID_FILE
            if run_id.exists():
                runs.end_run(tracking, run_id.read_text(), status)
    return results


@contextmanager
def ray_cluster(recipe: Recipe, console: Console) -> Iterator[None]:
    """The cluster that RAY_ADDRESS names, or one embedded in this process, which ends with it."""
    joined = bool(os.environ.get("RAY_ADDRESS"))
    console.print(f"{'joining' if joined else 'starting'} Ray ...")
    if joined:
        ray.init(log_to_driver=False, logging_level="ERROR")
    else:
        # Training workers wait for ever on a machine with fewer CPUs than they ask for; better to share them.
        needed = int(recipe.cluster.workers * recipe.cluster.cpus_per_worker + 0.999)
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        ray.init(
            num_cpus=max(cpus, needed),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parents[1])}},
        )
        with suppress(OSError):  # Ray writes its token readable for everybody
            Path("~/.ray/auth_token").expanduser().chmod(0o600)
    before = signal.signal(signal.SIGTERM, _interrupt)  # after ray.init, which installs its own
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        ray.shutdown()


def _interrupt(number: int, frame: Any) -> None:
    """SIGTERM, by `ray job stop` for one, ends a run as Ctrl-C does."""
    raise KeyboardInterrupt
