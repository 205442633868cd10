"""MLflow as the stages see it: one run per training, its points written by one actor on the driver's node."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.graph import Context
from pipeline.recipe import Recipe, plain
from pipeline.redact import redact, redact_values
from pipeline.tracking.address import Tracking

RUN_ID_FILE = "mlflow_run_id"
FLUSH_S = 20.0


@dataclass(frozen=True)
class Services:
    """What the driver hands to stages beside the recipe."""

    tracking: Tracking
    run_folder: Path
    """The record of this run, on the driver's node; the run's id is left there for him, who owns the run's status."""


def open_run(context: Context, run_id: str | None) -> str | None:
    """Take up the MLflow run `run_id`, or begin one with the recipe's keys as parameters; None when MLflow is away."""
    from pipeline.tracking import runs

    recipe: Recipe = context.recipe
    services: Services = context.services
    values = plain(recipe)
    found = runs.open_run(
        services.tracking,
        recipe.tracking.experiment or recipe.name,
        recipe.name,
        run_id,
        dict(flatten({key: redact_values(v) for key, v in values.items() if key not in ("store", "tracking")})),
        {"zoetrope.store": redact(recipe.store), "zoetrope.run": services.run_folder.name},
    )
    if found:
        (services.run_folder / RUN_ID_FILE).write_text(found)
    return found


def log_files(context: Context, run_id: str | None, files: dict[str, Path]) -> None:
    """Copy files to the run's artifacts, when there is a run."""
    from pipeline.tracking import runs

    if run_id:
        runs.log_files(context.services.tracking, run_id, files)


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted keys; lists stay whole.

    >>> list(flatten({"train": {"duration": "3ep"}, "seed": 0}))
    [('train.duration', '3ep'), ('seed', 0)]
    """
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


@contextmanager
def writing(context: Context, run_id: str | None) -> Iterator[Any]:
    """A Ray actor on this node around `Writer`: `actor.points.remote(step, metrics)` returns at once, from any worker.

    The spool lies in the store's folder on this node under the fingerprint, so a training that is taken up again here
    goes on in it.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from pipeline.tracking.writer import Writer

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    spool = context.store / "spool" / context.fingerprint
    actor: Any = ray.remote(num_cpus=0, scheduling_strategy=here)(Writer)
    writer = actor.remote(context.services.tracking, run_id, spool)
    try:
        yield writer
        if unsent := ray.get(writer.close.remote(FLUSH_S)):
            context.progress.say(f"{unsent} metric points could not be sent to MLflow; they are kept in {spool}")
    finally:
        ray.kill(writer)
