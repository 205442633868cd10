"""The exported model as an MLflow model: a script, weights as safetensors and a list of packages; nothing pickled."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking.address import Tracking
from pipeline.tracking.client import attempt, quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient


def save_model(
    folder: Path,
    script: Path,
    artifacts: dict[str, Path],
    code_paths: Sequence[Path],
    requirements: Sequence[str],
    answer: dict[str, str],
) -> None:
    """Write an MLflow model to `folder`, which must not exist yet.

    It takes a data frame with a column `content`, the bytes of one file a row, and gives the columns of `answer`, name
    to type: "string", "double", "list of string" or "list of double". `script`
    defines a `mlflow.pyfunc.PythonModel` and ends with `mlflow.models.set_model(...)`; it is run once here, and when
    the model is loaded. It finds `artifacts` in `context.artifacts`, and the packages of `code_paths` (copied) on its
    path; here they must be importable already. `requirements` are pip lines, taken as they are: nothing is inferred
    and nothing asks the network.
    """
    quiet()
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    def kind(text: str) -> Any:
        single = DataType[text.removeprefix("list of ")]
        return Array(single) if text.startswith("list of ") else single

    pyfunc.save_model(
        path=str(folder),
        python_model=str(script),
        artifacts={name: str(path) for name, path in artifacts.items()},
        code_paths=[str(path) for path in code_paths],
        pip_requirements=list(requirements),
        signature=ModelSignature(
            inputs=Schema([ColSpec("binary", "content")]),
            outputs=Schema([ColSpec(kind(text), name) for name, text in answer.items()]),
        ),
    )


def log_model(tracking: Tracking, run_id: str, name: str, folder: Path) -> str | None:
    """Log a folder of `save_model` as the run's model and return its URI, `models:/ID`; None when MLflow is away.

    The loading process needs this tracking URI: `MLFLOW_TRACKING_URI=... ` or `mlflow.set_tracking_uri`.
    """

    def work(client: "MlflowClient") -> str:
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        experiment_id = client.get_run(run_id).info.experiment_id
        logged = client.create_logged_model(experiment_id, name=name, source_run_id=run_id)
        with tempfile.TemporaryDirectory() as scratch:
            # MLmodel names the model and the run that it came from; the folder itself is not ours to change.
            _log_model_file(client, Model.load(str(folder)), logged.model_id, run_id, Path(scratch))
        for path in sorted(folder.iterdir()):
            if path.name != "MLmodel":
                _log(client, logged.model_id, path)
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return f"models:/{logged.model_id}"

    return attempt(tracking, f"the model {name!r}", work)


def _log_model_file(client: "MlflowClient", model: Any, model_id: str, run_id: str, scratch: Path) -> None:
    model.model_id, model.run_id = model_id, run_id
    model.save(str(scratch / "MLmodel"))
    _log(client, model_id, scratch / "MLmodel")


def _log(client: "MlflowClient", model_id: str, path: Path) -> None:
    if path.is_dir():
        client.log_model_artifacts(model_id, str(path), path.name)
    else:
        client.log_model_artifact(model_id, str(path))
