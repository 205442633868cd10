from pathlib import Path

import pytest

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
    assert tracking.ui_command == f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/runs/mlflow.db"


def test_the_recipe_beats_the_environment_and_that_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://environment:5000")
    assert resolve(None, tmp_path).uri == "http://environment:5000"
    assert resolve("https://recipe", tmp_path).uri == "https://recipe"
    assert resolve("https://recipe", tmp_path).artifact_location is None


def test_a_relative_sqlite_path_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve("sqlite:///my runs/a.db", Path("x")).ui_command == (
        f"mlflow ui --backend-store-uri 'sqlite:///{tmp_path}/my runs/a.db'"
    )


@pytest.mark.parametrize("uri", ["http://ann:s3cret@host:5000", "postgresql+psycopg2://ann:s3cret@host/db"])
def test_a_password_is_never_shown(uri: str, tmp_path: Path) -> None:
    tracking = resolve(uri, tmp_path)
    assert tracking.uri == uri
    assert "s3cret" not in f"{tracking} {tracking!r} {tracking.shown} {tracking.ui_command}"


def test_masked_leaves_the_rest_of_the_text() -> None:
    assert masked("GET http://a:p@ss@host/x failed") == "GET http://host/x failed"
    assert masked("mail to a@b") == "mail to a@b"


@pytest.mark.parametrize(
    ("uri", "says"),
    [("./mlruns", "plain folders"), ("file:///mlruns", "plain folders"), ("htp://ann:s3cret@host", "'http'")],
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
