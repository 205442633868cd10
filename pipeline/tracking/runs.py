"""The life of an MLflow run: opened or taken up again, given files and a dataset, and ended.

Everything goes through MlflowClient with the run's id; there is no active run and no global URI. When MLflow does not
answer, each function says so once and returns, within seconds.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pipeline.tracking.address import Tracking
from pipeline.tracking.client import attempt
from pipeline.tracking.names import mlflow_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Status = Literal["FINISHED", "FAILED", "KILLED"]
T = TypeVar("T")

# MLflow's limits, mlflow/utils/validation.py.
ITEMS_PER_BATCH = 100
LONGEST_PARAM = 6000
LONGEST_TAG = 8000
LONGEST_DIGEST = 36


def open_run(
    tracking: Tracking,
    experiment: str,
    name: str,
    run_id: str | None,
    params: dict[str, Any],
    tags: dict[str, str],
) -> str | None:
    """Take up the run `run_id` when it still exists there, else create one; status RUNNING either way.

    A parameter that the run has already is never changed, because MLflow refuses that; tags are set anew.
    Returns the run's id, or `run_id` as it was given when MLflow does not answer.
    """

    def work(client: "MlflowClient") -> str:
        run = _running(client, run_id) if run_id else None
        if run is None:
            run = client.create_run(_experiment_id(client, experiment, tracking.artifact_location), run_name=name)
        _describe(client, run, params, tags)
        return str(run.info.run_id)

    return attempt(tracking, f"the run {name!r} of experiment {experiment!r}", work) or run_id


def end_run(tracking: Tracking, run_id: str, status: Status) -> None:
    """Set the run's final status and its end time."""
    attempt(tracking, f"status {status}", lambda client: client.set_terminated(run_id, status))


def log_files(tracking: Tracking, run_id: str, files: dict[str, Path]) -> None:
    """Copy local files to the run's artifacts, `{artifact path with the file's name: local file}`."""
    import tempfile

    def work(client: "MlflowClient") -> None:
        for artifact_path, local in files.items():
            folder, _, name = artifact_path.rpartition("/")
            if name == local.name:
                client.log_artifact(run_id, str(local), folder or None)
                continue
            with tempfile.TemporaryDirectory() as scratch:  # MLflow names an artifact as the local file is named
                renamed = Path(scratch) / name
                renamed.symlink_to(local.absolute())
                client.log_artifact(run_id, str(renamed), folder or None)

    attempt(tracking, f"files {', '.join(files)}", work)


def log_dataset(tracking: Tracking, run_id: str, name: str, digest: str, source: str, profile: dict[str, Any]) -> None:
    """Note the dataset that the run trains on. `digest` is cut to MLflow's 36 characters; twice is as good as once."""

    def work(client: "MlflowClient") -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name,
            digest=digest[:LONGEST_DIGEST],
            source_type="local" if "://" not in source else source.partition("://")[0],
            source=json.dumps({"uri": source}),
            profile=json.dumps(profile),
        )
        client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    attempt(tracking, f"the dataset {name!r}", work)


def _running(client: "MlflowClient", run_id: str) -> "Run | None":
    """The run, RUNNING again; None when it was deleted or is not known there."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in {ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), ErrorCode.Name(INVALID_PARAMETER_VALUE)}:
            return None
        raise
    if run.info.lifecycle_stage != "active":
        return None
    client.update_run(run_id, status="RUNNING")
    return run


def _experiment_id(client: "MlflowClient", name: str, artifact_location: str | None) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifact_location))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:  # not a race with another run that made it first
                raise
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _describe(client: "MlflowClient", run: "Run", params: dict[str, Any], tags: dict[str, str]) -> None:
    from mlflow.entities import Param, RunTag

    values = {mlflow_name(key): str(value)[:LONGEST_PARAM] for key, value in params.items()}
    new = [Param(key, value) for key, value in values.items() if key not in run.data.params]
    marks = [RunTag(mlflow_name(key), str(value)[:LONGEST_TAG]) for key, value in tags.items()]
    for some_params in _batches(new):
        client.log_batch(run.info.run_id, params=some_params, synchronous=True)
    for some_tags in _batches(marks):
        client.log_batch(run.info.run_id, tags=some_tags, synchronous=True)


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), ITEMS_PER_BATCH):
        yield items[start : start + ITEMS_PER_BATCH]
