from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.base.job import check_store, check_tracking
from pipeline.recipe import Recipe
from pipeline.verbs.planning import make_plan

COPY = "tmp/ray/session_2026-11-20_13-00-00_000000_1/runtime_resources/working_dir_files/_ray_pkg_0123456789abcdef"


@pytest.mark.parametrize("below", [".", "runs", "a/b/runs"])
def test_a_store_in_the_working_copy(tmp_path: Path, below: str) -> None:
    with pytest.raises(ZoetropeError, match="a temporary copy that Ray deletes after the job") as error:
        check_store(str(tmp_path / COPY / below))
    assert "~/zoetrope-runs on the head" in str(error.value)


def test_a_link_into_the_working_copy(tmp_path: Path) -> None:
    (tmp_path / COPY).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / COPY)
    with pytest.raises(ZoetropeError, match="temporary copy"):
        check_store(str(tmp_path / "link" / "runs"))


@pytest.mark.parametrize("url", ["/mnt/shared/runs", "/home/me/zoetrope-runs", "s3://bucket/working_dir_files/runs"])
def test_stores_that_stay(url: str) -> None:
    check_store(url)


def test_a_database_in_the_working_copy(tmp_path: Path) -> None:
    (tmp_path / COPY).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / COPY)
    for folder in (tmp_path / COPY, tmp_path / "link" / "a"):
        with pytest.raises(ZoetropeError, match=f"^MLflow's database {folder}/mlflow.db .* Ray deletes") as error:
            check_tracking(f"sqlite:///{folder}/mlflow.db")
        assert "Leave `tracking.uri` and MLFLOW_TRACKING_URI out, for a file in the store" in str(error.value)


@pytest.mark.parametrize(
    "uri", ["sqlite:////home/me/mlflow.db", "http://host/working_dir_files", "postgresql://host/working_dir_files/db"]
)
def test_an_mlflow_that_stays(uri: str) -> None:
    check_tracking(uri)


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "sqlite:///a/mlflow.db"])
def test_a_database_is_refused_with_the_plan(
    tmp_path: Path, make_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    """A job's entrypoint has the copy as its working directory."""
    (tmp_path / COPY).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / COPY)
    recipe = make_recipe("image", store=str(tmp_path / "runs"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ZoetropeError, match=r"MLflow's database .* temporary copy"):
        make_plan(recipe)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(ZoetropeError, match=r"MLflow's database .* temporary copy"):
        make_plan(make_recipe("image", **{"store": str(tmp_path / "runs"), "tracking.uri": uri}))
    assert list((tmp_path / COPY).iterdir()) == []


def test_refused_with_the_plan(tmp_path: Path, make_recipe: Callable[..., Recipe]) -> None:
    with pytest.raises(ZoetropeError, match="temporary copy"):
        make_plan(make_recipe("image", store=f"file://{tmp_path / COPY}/runs"))
    assert not (tmp_path / COPY).exists()
