"""The MLflow client: quiet and bounded in time."""

import logging
import os
import threading
import uuid
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.tracking.address import Tracking, masked, sqlite_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

PING_TIMEOUT_S = 5.0

# MLflow's own values (120 s, 7 tries) let one call to a dead server block for four minutes. What a user sets stays.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


_making = threading.Lock()


class NoAnswer(Exception):
    """The server did not answer in time."""


def client(tracking: Tracking) -> "MlflowClient":
    """Return the client of one MLflow, made once a process. The first use of an SQLite file creates it (1 to 3 s)."""
    with _making:  # two threads at once would make the tables of an SQLite file twice
        return _client(tracking.uri, tracking.artifact_location)


@lru_cache(maxsize=8)
def _client(uri: str, artifact_location: str | None) -> "MlflowClient":
    quiet()
    from mlflow import MlflowClient

    if uri.startswith("sqlite"):
        from sqlalchemy.engine import make_url

        create_schema(Path(make_url(uri).database or ""), artifact_location or "")
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def quiet() -> None:
    """Import MLflow for this process with short timeouts and without chatter."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401  (its import sets its loggers up, so ours come after)

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Advice to whoever writes a PythonModel (type hints, input examples), not to whoever runs one.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"mlflow\.pyfunc")


def create_schema(database: Path, artifact_location: str) -> None:
    """Create MLflow's SQLite file whole or not at all.

    MLflow fills a fresh file in place for a second or more, unguarded: a second process sees half of the tables and
    fails, and after a kill the file is broken for good. So it is made under another name and linked into place.
    """
    if database.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database.parent.mkdir(parents=True, exist_ok=True)
    temporary = database.with_name(f".{database.name}.{uuid.uuid4().hex}")
    try:
        SqlAlchemyStore(sqlite_uri(temporary), artifact_location).engine.dispose()
        try:
            os.link(temporary, database)
        except FileExistsError:
            pass  # another process was first, and its file is as good as ours
        except OSError:  # a file system without hard links
            if not database.exists():
                os.rename(temporary, database)
    finally:
        temporary.unlink(missing_ok=True)


def ping(tracking: Tracking) -> None:
    """Raise NoAnswer, within 5 s, when the HTTP server is down or hung; any answer below 500 will do."""
    if not tracking.uri.startswith(("http://", "https://")):
        return
    import requests

    try:
        status = requests.get(f"{tracking.shown.rstrip('/')}/health", timeout=PING_TIMEOUT_S).status_code
    except requests.exceptions.SSLError:
        return  # it answers; whether its certificate will do is decided by MLflow's own settings
    except requests.exceptions.RequestException as error:
        raise NoAnswer(type(error).__name__) from None
    if status >= 500:
        raise NoAnswer(f"HTTP status {status}")


def reason(error: Exception) -> str:
    """Return the first line of an error, without passwords and not longer than a line in a log should be."""
    lines = masked(str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def is_refusal(error: Exception) -> bool:
    """Tell whether MLflow answered that it will never take this, so that it is not to be asked again."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import BAD_REQUEST, INVALID_PARAMETER_VALUE, ErrorCode

    never = {ErrorCode.Name(code) for code in (BAD_REQUEST, INVALID_PARAMETER_VALUE)}
    return isinstance(error, MlflowException) and error.error_code in never
