"""Where MLflow is: the URI, where its artifacts go, and the line that opens it. Imports nothing heavy."""

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base.errors import ZoetropeError, unknown

SERVERS = ("http", "https", "databricks")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")

# Greedy up to the last @ before a space or slash: a password may hold an @ of its own.
USER = re.compile(r"(?<=://)[^\s/]*@")


@dataclass(frozen=True)
class Tracking:
    """One MLflow. `artifact_location` is None where the server decides; `ui_command` is safe to print."""

    uri: str = field(repr=False)
    artifact_location: str | None
    ui_command: str

    @property
    def shown(self) -> str:
        """The URI without user and password: the only form that may be printed."""
        return masked(self.uri)


def masked(text: str) -> str:
    """`text` with the `user:password@` of every URL in it left out."""
    return USER.sub("", text)


def resolve(uri: str | None, store: Path | str) -> Tracking:
    """The MLflow of `uri`, else of MLFLOW_TRACKING_URI, else an SQLite file in `store`, which must be a folder then.

    Paths become absolute, because Ray's workers have another working directory.
    Raises ZoetropeError for a URI that MLflow cannot use.
    """
    remote = "://" in str(store)
    place = str(store).rstrip("/") if remote else str(Path(store).absolute())
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or ("" if remote else f"sqlite:///{place}/mlflow.db")
    if not uri:
        raise ZoetropeError(
            f"the store {masked(place)} is no folder, so MLflow's database has no place in it. Set MLFLOW_TRACKING_URI "
            "or tracking.uri: http://HOST:PORT of a server, or sqlite:////absolute/path/mlflow.db on this machine."
        )
    scheme = uri.partition("://")[0].partition("+")[0].lower()
    if uri == "databricks":
        return Tracking(uri, None, "databricks")
    if "://" not in uri or scheme == "file":
        raise ZoetropeError(
            f"tracking.uri {masked(uri)!r} is a folder, and MLflow keeps no runs in plain folders any more. "
            "Leave tracking.uri empty for an SQLite file in the store, or give sqlite:///FILE.db or http://HOST:PORT."
        )
    if scheme in SERVERS:
        return Tracking(uri, None, masked(uri))
    if scheme not in DATABASES:
        raise ZoetropeError(f"tracking.uri {masked(uri)!r}: {unknown('scheme', scheme, SERVERS + DATABASES)}")
    if scheme == "sqlite":
        database = Path(uri.partition(":///")[2]).absolute()
        uri = f"sqlite:///{database}"
        return Tracking(uri, str(database.parent / "mlartifacts"), _ui(shlex.quote(uri)))
    # A password does not belong in a line that is printed and kept in logs.
    return Tracking(uri, f"{place}/mlartifacts", _ui('"$MLFLOW_TRACKING_URI"' if "@" in uri else shlex.quote(uri)))


def _ui(backend: str) -> str:
    return f"mlflow ui --backend-store-uri {backend}"
