"""MLflow's model registry: a finished run's model as the next version of a name, and which version is the best."""

from collections.abc import Mapping
from contextlib import suppress

from pipeline.tracking.address import Tracking
from pipeline.tracking.client import client
from pipeline.tracking.model import MEASURED

BEST = "best"
"""The alias of the version with the best score: `models:/NAME@best`."""
SCORE = "zoetrope.score"
"""The tag of a version that holds its score; larger is better."""


def register(tracking: Tracking, run_id: str, name: str, metric: str) -> str | None:
    """Register the run's last model, and let the alias `best` follow; twice is as good as once.

    metric: the headline by its name in a task, larger is better; the one on the test split counts where there is one
    Returns the version; None where the run has no model or no score.
    """
    from mlflow.exceptions import MlflowException

    mlflow = client(tracking)
    run = mlflow.get_run(run_id)
    models = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
    score = _score(run.data.metrics, metric)
    if not models or score is None:
        return None
    with suppress(MlflowException):  # it is there
        mlflow.create_registered_model(name)
    versions = list(mlflow.search_model_versions(f"name = '{name}'"))
    mine = next((version for version in versions if version.run_id == run_id), None)
    if mine is None:
        # By its place: a database looks for `models:/ID` in the MLflow of this process, which may be another.
        source = mlflow.get_logged_model(models[-1]).artifact_location
        mine = mlflow.create_model_version(name, source, run_id, tags={SCORE: repr(score)}, model_id=models[-1])
        versions.append(mine)
    best = max(versions, key=lambda version: (float(version.tags.get(SCORE, "-inf")), int(version.version)))
    mlflow.set_registered_model_alias(name, BEST, best.version)
    return str(mine.version)


def _score(metrics: Mapping[str, float], metric: str) -> float | None:
    return next((metrics[key] for prefix in reversed(MEASURED) if (key := f"{prefix}{metric}") in metrics), None)
