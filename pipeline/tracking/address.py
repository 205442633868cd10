"""Where MLflow is: the URI, where its artifacts go, and the line that opens it. Imports nothing heavy."""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.base.errors import ZoetropeError, unknown
from pipeline.base.redact import redact

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

SERVERS = ("http", "https", "databricks")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")

UI = "http://127.0.0.1:5000"
"""Where `mlflow ui` listens."""
VIEW = "zoetrope"
"""The name of our view of an experiment's charts, see `pipeline.tracking.view`."""

USER = re.compile(r"(?<=://)[^\s/]*@")
ENCODED = "In a user's name and a password write @ as %40, / as %2F, : as %3A, ? as %3F and # as %23"


@dataclass(frozen=True)
class Tracking:
    """One MLflow. `artifact_location` is None where the server decides; `ui_command` is safe to print."""

    uri: str = field(repr=False)
    artifact_location: str | None
    ui_command: str

    @property
    def shown(self) -> str:
        """The URI without user and password: the only form that may be printed."""
        if "@" not in self.uri or _scheme(self.uri) not in DATABASES or _scheme(self.uri) == "sqlite":
            return masked(self.uri)
        from sqlalchemy.engine import URL

        url = _parsed(self.uri)
        bare = URL.create(url.drivername, host=url.host, port=url.port, database=url.database, query=url.query)
        return redact(bare.render_as_string(hide_password=False))

    def page(self, experiment_id: str, view: str | None = None) -> str:
        """Return the address of an experiment's runs with their curves; "" where it is not known.

        Without the query MLflow 3 opens a page for language models, which is empty, and with a view that the
        experiment does not have, too.
        """
        if _scheme(self.uri) == "databricks":
            return ""
        base = self.shown.rstrip("/") if _scheme(self.uri) in SERVERS else UI
        seen = f"&viewStateShareKey={view}" if view else ""
        return f"{base}/#/experiments/{experiment_id}/runs?workflowType=machine_learning&compareRunsMode=CHART{seen}"


def masked(text: str) -> str:
    """Return `text` with the `user:password@` of every URL in it left out, and other secrets hidden."""
    return USER.sub("", redact(text))


def resolve(uri: str | None, store: Path | str) -> Tracking:
    """Return the MLflow of `uri`, else of MLFLOW_TRACKING_URI, else an SQLite file in `store`, which must be a folder
    then.

    Paths become absolute, because Ray's workers have another working directory.
    Raises ZoetropeError for a URI that MLflow cannot use.
    """
    remote = "://" in str(store)
    place = str(store).rstrip("/") if remote else str(Path(store).absolute())
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        if not remote:
            return _file(Path(place) / "mlflow.db")
        raise ZoetropeError(
            f"the store {masked(place)} is no folder, so MLflow's database has no place in it. Set MLFLOW_TRACKING_URI "
            "or tracking.uri: http://HOST:PORT of a server, or sqlite:////absolute/path/mlflow.db on this machine."
        )
    scheme = _scheme(uri)
    if uri == "databricks":
        return Tracking(uri, None, "databricks")
    if "://" not in uri or scheme == "file":
        raise ZoetropeError(
            f"tracking.uri {masked(uri)!r} is a folder, and MLflow keeps no runs in plain folders any more. "
            "Leave tracking.uri empty for an SQLite file in the store, or give sqlite:///FILE.db or http://HOST:PORT."
        )
    if scheme in SERVERS:
        return _server(uri)
    if scheme not in DATABASES:
        raise ZoetropeError(f"tracking.uri {masked(uri)!r}: {unknown('scheme', scheme, SERVERS + DATABASES)}")
    url = _parsed(uri)
    if scheme != "sqlite":
        return _database(uri, url, f"{place}/mlartifacts" if remote else _location(Path(place)))
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise ZoetropeError(
            f"tracking.uri {masked(uri)!r} names no file. Write sqlite:////absolute/path/mlflow.db, or leave it empty "
            "for a file in the store."
        )
    return _file(Path(url.database).absolute(), url.query)


def sqlite_uri(database: Path, query: Mapping[str, Any] | None = None) -> str:
    """Return the URI of an SQLite file, quoted where SQLAlchemy would take another file else.

    Raises ZoetropeError where the SQLAlchemy that is installed cannot say it.
    """
    if not query and not _is_odd(database):
        return f"sqlite:///{database}"
    from sqlalchemy.engine import URL, make_url

    # Named without its driver, MLflow would make a folder for it that is called by the quoted name.
    url = URL.create("sqlite+pysqlite", database=str(database), query=query or {})
    uri = url.render_as_string(hide_password=False)
    if make_url(uri).database != str(database):
        raise ZoetropeError(
            f"MLflow's database {database}: SQLAlchemy below 2.1 cannot open a path with ? or % in it. Rename the "
            "folder, or set tracking.uri to sqlite:////another/path/mlflow.db, or install SQLAlchemy 2.1."
        )
    return uri


def _scheme(uri: str) -> str:
    return uri.partition("://")[0].partition("+")[0].lower()


def _is_odd(path: Path) -> bool:
    """Tell whether a URL reads a path as another one: `?` begins its query, and `%20` is a blank."""
    return not {"?", "%"}.isdisjoint(str(path))


def _location(folder: Path) -> str:
    """Tell where artifacts go in a folder; as a URI only where MLflow would take a path for one."""
    artifacts = folder / "mlartifacts"
    return artifacts.as_uri() if _is_odd(artifacts) else str(artifacts)


def _file(database: Path, query: Mapping[str, Any] | None = None) -> Tracking:
    uri = sqlite_uri(database, query)
    return Tracking(uri, _location(database.parent), _ui(shlex.quote(uri)))


def _server(uri: str) -> Tracking:
    try:
        parts = urlsplit(uri)
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise ZoetropeError(f"tracking.uri {_scheme(uri)}://... names no host, or a port that is no number. {ENCODED}.")
    return Tracking(uri, None, masked(uri))


def _database(uri: str, url: "URL", artifact_location: str) -> Tracking:
    if "@" in (url.host or ""):  # SQLAlchemy ends a password at its first @
        raise ZoetropeError(f"tracking.uri {masked(uri)!r}: the password holds an @. {ENCODED}.")
    # A password does not belong in a line that is printed and kept in logs.
    secret = "@" in uri or redact(uri) != uri
    return Tracking(uri, artifact_location, _ui('"$MLFLOW_TRACKING_URI"' if secret else shlex.quote(uri)))


def _parsed(uri: str) -> "URL":
    """Parse a database's URI as SQLAlchemy reads it. ZoetropeError where it does not."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(uri)
    except (ArgumentError, ValueError):  # a port that is no number
        raise ZoetropeError(
            f"tracking.uri {_scheme(uri)}://...: SQLAlchemy cannot read it; it is "
            f"DIALECT://USER:PASSWORD@HOST:PORT/DATABASE. {ENCODED}."
        ) from None


def _ui(backend: str) -> str:
    return f"MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri {backend}"
