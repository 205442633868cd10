"""The life of an MLflow run: opened or taken up again, given files and a dataset, and ended.

Everything goes through MlflowClient with the run's id; there is no active run and no global URI. All of it may be done
twice. Raises whatever MLflow, its database or its server raise.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pipeline.tracking.address import Tracking
from pipeline.tracking.client import client
from pipeline.tracking.names import mlflow_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
T = TypeVar("T")

KEY = "zoetrope.spool"
"""The tag by which a run is found again."""

# MLflow's limits, mlflow/utils/validation.py.
ITEMS_PER_BATCH = 100
LONGEST_PARAM = 6000
LONGEST_TAG = 8000
LONGEST_DIGEST = 36
GRID_PX = 1024
"""The longer side of a picture in a grid, at most."""


def open_run(
    tracking: Tracking,
    experiment: str,
    name: str,
    key: str,
    run_id: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    began_ms: int | None = None,
) -> str:
    """Find the id of the run `run_id`, else of the one whose tag `zoetrope.spool` is `key`, else of a new one.

    So a run is not created twice when the answer to the first request was lost. A parameter that the run has already is
    never changed, because MLflow refuses that; tags are set anew. The status of a run that is there stays.
    """
    mlflow = client(tracking)
    run = _active(mlflow, run_id) if run_id else None
    if run is None:
        experiment_id = _experiment_id(mlflow, experiment, tracking.artifact_location)
        found = mlflow.search_runs([experiment_id], f"tags.`{KEY}` = '{key}'", max_results=1)
        run = found[0] if found else mlflow.create_run(experiment_id, began_ms, {KEY: key}, name)
    _log_params(mlflow, run, params or {})
    set_tags(tracking, run.info.run_id, tags or {})
    return str(run.info.run_id)


def set_status(
    tracking: Tracking, run_id: str, status: str, at_ms: int | None, tags: Mapping[str, str] | None = None
) -> None:
    """Set the run's status with tags that belong to it, and its end time when that is a final one."""
    for key, value in (tags or {}).items():
        client(tracking).set_tag(run_id, key, value)
    if status == "RUNNING":
        client(tracking).update_run(run_id, status=status)
    else:
        client(tracking).set_terminated(run_id, status, at_ms)


def experiment_of(tracking: Tracking, run_id: str) -> str:
    """Return the id of a run's experiment."""
    return str(client(tracking).get_run(run_id).info.experiment_id)


def set_tags(tracking: Tracking, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of a run, cut to what MLflow takes; `mlflow.runName` is its name."""
    from mlflow.entities import RunTag

    marks = [RunTag(mlflow_name(key), str(value)[:LONGEST_TAG]) for key, value in tags.items()]
    for some in _batches(marks):
        client(tracking).log_batch(run_id, tags=some, synchronous=True)


def log_files(tracking: Tracking, run_id: str, folder: Path) -> None:
    """Copy what is below `folder` to the run's artifacts."""
    client(tracking).log_artifacts(run_id, str(folder))


def log_images(tracking: Tracking, run_id: str, folder: Path) -> None:
    """Log the pictures in `folder` for MLflow's image grids, where those of several runs stand side by side.

    Each is called by its file; of two of one name MLflow shows the newer.
    """
    from PIL import Image

    for path in sorted(folder.iterdir()):
        with Image.open(path) as picture:
            shown = picture.convert("RGB")
        shown.thumbnail((GRID_PX, GRID_PX))
        client(tracking).log_image(run_id, shown, key=path.stem, step=0, synchronous=True)


def log_dataset(tracking: Tracking, run_id: str, name: str, digest: str, source: str, profile: dict[str, Any]) -> None:
    """Note the dataset that the run trains on. `digest` is cut to MLflow's 36 characters; twice is as good as once."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=name,
        digest=digest[:LONGEST_DIGEST],
        source_type="local" if "://" not in source else source.partition("://")[0],
        source=json.dumps({"uri": source}),
        profile=json.dumps(profile),
    )
    client(tracking).log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def _active(mlflow: "MlflowClient", run_id: str) -> "Run | None":
    """Return the run; None when it was deleted or is not known there."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

    try:
        run = mlflow.get_run(run_id)
    except MlflowException as error:
        if error.error_code in {ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), ErrorCode.Name(INVALID_PARAMETER_VALUE)}:
            return None
        raise
    return run if run.info.lifecycle_stage == "active" else None


def _experiment_id(mlflow: "MlflowClient", name: str, artifact_location: str | None) -> str:
    from mlflow.exceptions import MlflowException

    found = mlflow.get_experiment_by_name(name)
    if found is None:
        try:
            return str(mlflow.create_experiment(name, artifact_location=artifact_location))
        except MlflowException:
            found = mlflow.get_experiment_by_name(name)
            if found is None:  # not a race with another run that made it first
                raise
    if found.lifecycle_stage != "active":
        mlflow.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _log_params(mlflow: "MlflowClient", run: "Run", params: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    values = {mlflow_name(key): str(value)[:LONGEST_PARAM] for key, value in params.items()}
    new = [Param(key, value) for key, value in values.items() if key not in run.data.params]
    for some in _batches(new):
        mlflow.log_batch(run.info.run_id, params=some, synchronous=True)


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), ITEMS_PER_BATCH):
        yield items[start : start + ITEMS_PER_BATCH]
