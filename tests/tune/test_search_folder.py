import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from tune.search_folder import about, fingerprint, note, search_folder

TUNE: dict[str, Any] = {"metric": "val/top1", "mode": "max", "space": {"optimizer.lr": "loguniform(0.01, 1)"}}


def test_more_samples_are_the_same_search(make_recipe: Any) -> None:
    def mark(tune: dict[str, Any] = {}, **changes: Any) -> str:  # noqa: B006
        return fingerprint(make_recipe("image", tune=TUNE | tune, **changes))

    same = mark()
    assert mark({"samples": 99, "trial": {"retries": 5}}) == same
    places: dict[str, Any] = {"store": "/elsewhere", "feed.workers": 0, "cluster.workers": 2}
    assert mark(**places) == same
    assert mark({"mode": "min"}) != same
    assert mark(seed=1) != same
    assert mark({"space": {"optimizer.lr": "loguniform(0.02, 1)"}}) != same


def test_the_last_search_alike_is_found(make_recipe: Any, tmp_path: Path) -> None:
    recipe = make_recipe("image", tune=TUNE, store=str(tmp_path))
    with pytest.raises(ZoetropeError, match="no search of this recipe to go on with"), search_folder(recipe, True):
        pass
    with search_folder(recipe, False) as first, search_folder(recipe, False) as second:
        assert first != second
        note(first, status="done")
        with pytest.raises(ZoetropeError, match="this search is running"), search_folder(recipe, True):
            pass
    with search_folder(recipe, True) as again:
        assert again == second
    other = make_recipe("image", tune=TUNE, store=str(tmp_path), seed=1)
    with pytest.raises(ZoetropeError, match="no search of this recipe"), search_folder(other, True):
        pass
    assert about(first)["status"] == "done"
    (first / "search.json").write_text("torn")
    assert about(first) == {}


def test_a_store_that_is_no_folder(make_recipe: Any) -> None:
    recipe = make_recipe("image", tune=TUNE, store="s3://bucket/runs")
    with pytest.raises(ZoetropeError, match="is no folder"), search_folder(recipe, False):
        pass


def test_an_mlflow_that_cannot_be(make_recipe: Any, tmp_path: Path) -> None:
    recipe = make_recipe("image", tune=TUNE, store=str(tmp_path), **{"tracking.uri": "ftp://x"})
    with pytest.raises(ZoetropeError, match="'ftp://x': unknown scheme"), search_folder(recipe, False):
        pass
    assert not list(tmp_path.iterdir())


def test_two_that_begin_at_once_get_two_folders(make_recipe: Any, tmp_path: Path) -> None:
    recipe = make_recipe("image", tune=TUNE, store=str(tmp_path))
    with search_folder(recipe, False) as one, search_folder(recipe, False) as other:
        assert {one, other} == {path for path in (tmp_path / "tune").iterdir() if os.path.isdir(path)}
