"""What is different within a job of `ray job submit`: its working directory is a copy that Ray deletes afterwards.

Imports no Ray, so that a run is refused before anything is started.
"""

import os
from pathlib import Path

from pipeline.base.errors import ZoetropeError

VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray sets it in a job's entrypoint, and nowhere else."""
STORE = "~/zoetrope-runs"
COPIES = "working_dir_files"
"""The folder of a Ray session that holds the copies, each below its hash."""


def in_job() -> bool:
    """Tell whether this process is a job's entrypoint, or was started by it."""
    return VARIABLE in os.environ


def default_store() -> str:
    """Return the store of a recipe that names none: `runs` in the current folder.

    In a job, a folder of the head's user.
    """
    return str(Path(STORE).expanduser() if in_job() else Path("runs").absolute())


def check_store(url: str) -> None:
    """Raise ZoetropeError for a store that would be deleted with the job."""
    if "://" not in url and _in_copy(url):
        raise ZoetropeError(
            f"store: {url} is in the job's working directory, a temporary copy that Ray deletes after the job, with "
            f"all that the run would put there. Leave `store` out, for {STORE} on the head; or give a folder that "
            "every node sees, or the URL of an object store: store=/mnt/shared/runs, store=s3://BUCKET/runs."
        )


def check_tracking(uri: str) -> None:
    """Raise for an MLflow database in the job's working directory, by the URI that MLflow gets."""
    scheme, _, path = uri.partition(":///")
    if scheme.startswith("sqlite") and _in_copy(path):
        raise ZoetropeError(
            f"MLflow's database {path} is in the job's working directory, a temporary copy that Ray deletes after the "
            "job, with all that MLflow would keep there. Leave `tracking.uri` and MLFLOW_TRACKING_URI out, for a file "
            "in the store; or give a file elsewhere, or a server: tracking.uri=sqlite:////home/ME/mlflow.db, "
            "tracking.uri=http://HOST:PORT."
        )


def _in_copy(path: str) -> bool:
    return COPIES in Path(path).resolve().parts
