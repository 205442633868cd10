"""The exported model as an MLflow model: a script, weights as safetensors and a list of packages; nothing pickled."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking.address import Tracking
from pipeline.tracking.client import client, quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY = "zoetrope.call"
"""The tag by which a model that was begun is found again."""
LIST = "list of "
MEASURED = ("evaluate/", "test/")
"""What metrics of the finished model begin with."""


def save_model(
    folder: Path,
    script: Path,
    artifacts: dict[str, Path],
    code_paths: Sequence[Path],
    requirements: Sequence[str],
    answer: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> None:
    """Write an MLflow model to `folder`, which must not exist yet.

    It takes a data frame with a column `content`, the bytes of one file a row, and `name` where one is given, and gives
    the columns of `answer`, name to type: "string", "double", "binary" or a list of one of these, as "list of string",
    or of such lists.
    `parameters`: names, and their defaults, which are of their types.

    `script` defines a `mlflow.pyfunc.PythonModel` and ends with `mlflow.models.set_model(...)`; it is run once here,
    and when the model is loaded. It finds `artifacts` in `context.artifacts`, and the packages of `code_paths` (copied)
    on its path; here they must be importable already. `requirements` are pip lines, taken as they are: nothing is
    inferred and nothing asks the network.
    """
    quiet()
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array

    types = {bool: DataType.boolean, int: DataType.long}

    def kind(text: str) -> Any:
        return Array(kind(text.removeprefix(LIST))) if text.startswith(LIST) else DataType[text]

    pyfunc.save_model(
        path=str(folder),
        python_model=str(script),
        artifacts={name: str(path) for name, path in artifacts.items()},
        code_paths=[str(path) for path in code_paths],
        pip_requirements=list(requirements),
        signature=ModelSignature(
            inputs=Schema([ColSpec("binary", "content"), ColSpec("string", "name", required=False)]),
            outputs=Schema([ColSpec(kind(text), name) for name, text in answer.items()]),
            params=ParamSchema([ParamSpec(name, types[type(value)], value) for name, value in parameters.items()]),
        ),
    )


def log_model(tracking: Tracking, run_id: str, name: str, key: str, folder: Path) -> str:
    """Log a folder of `save_model` as the run's model and return its URI, `models:/ID`. Raises what MLflow raises.

    What was begun under the same `key` and did not come to its end is gone on with.
    The loading process needs this tracking URI: `MLFLOW_TRACKING_URI=... ` or `mlflow.set_tracking_uri`.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    mlflow = client(tracking)
    run = mlflow.get_run(run_id)
    experiment_id = run.info.experiment_id
    found = mlflow.search_logged_models([experiment_id], f"tags.`{KEY}` = '{key}'", max_results=1)
    logged = found[0] if found else mlflow.create_logged_model(experiment_id, name, run_id, {KEY: key})
    with tempfile.TemporaryDirectory() as scratch:
        # MLmodel names the model and the run that it came from; the folder itself is not ours to change.
        _log_model_file(mlflow, Model.load(str(folder)), logged.model_id, run_id, Path(scratch))
    for path in sorted(folder.iterdir()):
        if path.name != "MLmodel":
            _log(mlflow, logged.model_id, path)
    mlflow.finalize_logged_model(logged.model_id, "READY")
    linked = run.outputs.model_outputs if run.outputs else []
    if logged.model_id not in [output.model_id for output in linked]:  # twice is refused
        mlflow.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return f"models:/{logged.model_id}"


def score_models(tracking: Tracking, run_id: str) -> None:
    """Note what the run's evaluation measured as metrics of its models, too: MLflow shows them beside each model.

    The run's own metrics stay as they are, and so do those of a model that was measured before; twice is as good as
    once.
    """
    from mlflow.entities import Metric

    mlflow = client(tracking)
    run = mlflow.get_run(run_id)
    for output in run.outputs.model_outputs if run.outputs else []:
        measured = [
            Metric(key, point.value, point.timestamp, point.step, model_id=output.model_id)
            for key in run.data.metrics
            if key.startswith(MEASURED)
            for point in mlflow.get_metric_history(run_id, key)[-1:]
        ]
        mlflow.log_batch(run_id, metrics=measured, synchronous=True)


def _log_model_file(mlflow: "MlflowClient", model: Any, model_id: str, run_id: str, scratch: Path) -> None:
    model.model_id, model.run_id = model_id, run_id
    model.save(str(scratch / "MLmodel"))
    _log(mlflow, model_id, scratch / "MLmodel")


def _log(mlflow: "MlflowClient", model_id: str, path: Path) -> None:
    if path.is_dir():
        mlflow.log_model_artifacts(model_id, str(path), path.name)
    else:
        mlflow.log_model_artifact(model_id, str(path))
