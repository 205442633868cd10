import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy.engine import make_url

from pipeline.base.errors import ZoetropeError
from pipeline.tracking.address import masked, resolve


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_default_is_an_absolute_sqlite_file_in_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    tracking = resolve(None, Path("runs"))
    assert tracking.uri == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert tracking.artifact_location == f"{tmp_path}/runs/mlartifacts"
    assert (
        tracking.ui_command
        == f"MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri sqlite:///{tmp_path}/runs/mlflow.db"
    )


def test_the_recipe_beats_the_environment_and_that_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://environment:5000")
    assert resolve(None, tmp_path).uri == "http://environment:5000"
    assert resolve("https://recipe", tmp_path).uri == "https://recipe"
    assert resolve("https://recipe", tmp_path).artifact_location is None


def test_a_relative_sqlite_path_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve("sqlite:///my runs/a.db", Path("x")).ui_command == (
        f"MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri 'sqlite:///{tmp_path}/my runs/a.db'"
    )


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("plain", "sqlite:////data/plain/mlflow.db"),
        ("a b", "sqlite:////data/a b/mlflow.db"),
        ("st?re", "sqlite+pysqlite:////data/st%3Fre/mlflow.db"),
        ("my%20store", "sqlite+pysqlite:////data/my%2520store/mlflow.db"),
        ("a#b&c=d", "sqlite:////data/a#b&c=d/mlflow.db"),
        ("größe", "sqlite:////data/größe/mlflow.db"),
        ("a@b:c", "sqlite:////data/a@b:c/mlflow.db"),
        ("it's", "sqlite:////data/it's/mlflow.db"),
    ],
)
def test_any_name_of_a_folder_reaches_sqlalchemy(name: str, uri: str) -> None:
    tracking = resolve(None, f"/data/{name}")
    assert tracking.uri == uri
    assert make_url(tracking.uri).database == f"/data/{name}/mlflow.db"
    assert shlex.split(tracking.ui_command) == [
        "MLFLOW_DISABLE_TELEMETRY=true",
        "mlflow",
        "ui",
        "--backend-store-uri",
        uri,
    ]
    assert resolve(uri, "elsewhere") == tracking
    assert tracking.shown == uri


def test_a_path_that_an_older_sqlalchemy_cannot_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlalchemy.engine.make_url", lambda uri: SimpleNamespace(database="/data/st"))
    with pytest.raises(
        ZoetropeError, match=r"/data/st\?re/mlflow.db: SQLAlchemy below 2.1 cannot .* Rename the folder"
    ):
        resolve(None, "/data/st?re")


def test_a_query_of_a_uri_stays(tmp_path: Path) -> None:
    tracking = resolve(f"sqlite:///{tmp_path}/a.db?timeout=5", "x")
    assert tracking.uri == f"sqlite+pysqlite:///{tmp_path}/a.db?timeout=5"
    assert tracking.artifact_location == f"{tmp_path}/mlartifacts"


@pytest.mark.parametrize(
    "uri",
    [
        "http://ann:s3cret@host:5000",
        "postgresql+psycopg2://ann:s3cret@host/db",
        "postgresql://ann:s/s3cret@host/db",
        "postgresql://ann:s s3cret@host/db",
        "postgresql://ann@corp:1?s3cret@host/db",
        "postgresql://host/db?user=ann&password=s3cret",
        "mssql+pyodbc://ann:s#s3cret@host/db?driver=x",
    ],
)
def test_a_password_is_never_shown(uri: str, tmp_path: Path) -> None:
    tracking = resolve(uri, tmp_path)
    assert tracking.uri == uri
    assert "s3cret" not in f"{tracking} {tracking!r} {tracking.shown} {tracking.ui_command}"


@pytest.mark.parametrize(
    ("uri", "at"),
    [
        (None, "http://127.0.0.1:5000/#"),
        ("postgresql://ann:s3cret@host/db", "http://127.0.0.1:5000/#"),
        ("https://ann:s3cret@host/mlflow/", "https://host/mlflow/#"),
        ("databricks", ""),
    ],
)
def test_the_page_of_an_experiment(uri: str | None, at: str, tmp_path: Path) -> None:
    rest = "/experiments/7/runs?workflowType=machine_learning&compareRunsMode=CHART"
    assert resolve(uri, tmp_path).page("7") == (at and at + rest)
    assert resolve(uri, tmp_path).page("7", "mine") == (at and f"{at}{rest}&viewStateShareKey=mine")


def test_what_is_shown_is_the_rest_of_the_address() -> None:
    assert (
        resolve("postgresql://u:p/s s@h:5432/db?sslmode=require", "x").shown == "postgresql://h:5432/db?sslmode=require"
    )
    assert resolve("http://u:p@h:5000/mlflow", "x").shown == "http://h:5000/mlflow"


def test_masked_leaves_the_rest_of_the_text() -> None:
    assert masked("GET http://a:p@ss@host/x failed") == "GET http://host/x failed"
    assert masked("mail to a@b") == "mail to a@b"


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("./mlruns", "plain folders"),
        ("file:///mlruns", "plain folders"),
        ("htp://ann:s3cret@host", "'http'"),
        ("postgresql://ann:s3cret@x@host/db", "the password holds an @. .* write @ as %40"),
        ("postgresql://ann:pw@host:s3cret/db", "SQLAlchemy cannot read it; .* write @ as %40"),
        ("http://ann:s3cret/x@host", "names no host, or a port that is no number. .* / as %2F"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///file:x.db?uri=true", "names no file"),
    ],
)
def test_what_mlflow_cannot_use_is_refused_in_words(uri: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=says) as refusal:
        resolve(uri, tmp_path)
    assert "s3cret" not in str(refusal.value)


def test_a_store_that_is_no_folder_asks_for_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(
        ZoetropeError, match=r"s3://bucket/runs is no folder, .* Set MLFLOW_TRACKING_URI or tracking.uri"
    ):
        resolve(None, "s3://bucket/runs")
    assert resolve("http://host:5000", "s3://bucket/runs").artifact_location is None
    assert resolve("postgresql://host/db", "s3://bucket/runs/").artifact_location == "s3://bucket/runs/mlartifacts"
    assert resolve("sqlite:////data/mlflow.db", "s3://bucket/runs").artifact_location == "/data/mlartifacts"
